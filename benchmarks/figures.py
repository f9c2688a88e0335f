"""One measured number with its unit, and what it is read against."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Figure:
    """`against` is a target, or the other side of a comparison with its own number."""

    what: str
    value: float
    unit: str
    against: str = ""

    @property
    def shown(self) -> str:
        digits = 1 if self.unit == "%" else 2 if self.value < 10 else 0
        return f"{self.value:.{digits}f} {self.unit}"

    def as_json(self) -> dict[str, str | float]:
        return {
            "what": self.what,
            "value": round(self.value, 3),
            "unit": self.unit,
            "against": self.against,
        }


def seconds_of(command: Sequence[str], *, env: Mapping[str, str], cwd: Path = ROOT) -> float:
    """Run a command to its end and return its wall time; raises with its output when it fails."""
    begin = time.monotonic()
    done = subprocess.run(
        list(command),
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    elapsed_s = time.monotonic() - begin
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return elapsed_s


def alternate(
    first: Callable[[], float], second: Callable[[], float], *, rounds: int
) -> list[float]:
    """Time two things in turn, so that a noisy minute falls on both; return the two medians."""
    pairs = [(first(), second()) for _ in range(rounds)]
    return [statistics.median(side) for side in zip(*pairs, strict=True)]
