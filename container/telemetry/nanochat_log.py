"""Reads training progress from log lines of nanochat (all versions) and of the rehearsal.

The line formats are facts about nanochat, seen from 2025-10 to 2026-07; no other trainer is read.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

# One expression for the training line of all versions; "bf16_mfu" since 2026-02.
_TRAINING = re.compile(
    r"^step (\d+)(?:/(\d+))? \(([\d.]+)%\) \| loss: (\S+) \|(?: grad norm: \S+ \|)? lrm: (\S+) \| "
    r"dt: ([\d.]+)ms \| tok/sec: ([\d,]+) \| (?:bf16_)?mfu: ([\d.]+)"
)
_OLD_SFT = re.compile(r"^Step (\d+)/(\d+) \| Training loss: ([^|\s]+)\s*\|")
_BPB = re.compile(r"^Step (\d+) \| Validation bpb: (\S+)")
_EVALUATION = re.compile(r"^Step (\d+) \| ")
_ITERATIONS = re.compile(
    r"^(?:Calculated number of iterations from \S.*|Using user-provided number of iterations): "
    r"([\d,]+)"
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class TrainingStep:
    """One optimizer step, as printed."""

    step: int
    total_steps: int | None  # an estimate where only the percentage is printed
    loss: float | None  # None when it is not a finite number
    tokens_per_s: float | None = None
    dt_ms: float | None = None
    mfu: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """An evaluation between steps."""

    step: int
    val_bpb: float | None


@dataclass(frozen=True)
class Horizon:
    """The number of steps of this stage, printed before the first."""

    total_steps: int


Progress = TrainingStep | Evaluation | Horizon


def parse_line(line: str) -> Progress | None:
    """Return what a line says about progress, None when nothing."""
    if not line.startswith(("step ", "Step ", "Calc", "Using user")):
        return None
    found = _TRAINING.match(line)
    if found:
        step, total, percent, loss, _, dt_ms, tokens, mfu = found.groups()
        return TrainingStep(
            step=int(step),
            total_steps=int(total) if total else _total(int(step), float(percent)),
            loss=_number(loss),
            tokens_per_s=_number(tokens),
            dt_ms=_number(dt_ms),
            mfu=_number(mfu),
        )
    found = _OLD_SFT.match(line)
    if found:
        return TrainingStep(int(found[1]), int(found[2]), _number(found[3]))
    found = _BPB.match(line)
    if found:
        return Evaluation(int(found[1]), _number(found[2]))
    found = _EVALUATION.match(line)
    if found:
        return Evaluation(int(found[1]), None)
    found = _ITERATIONS.match(line)
    return Horizon(int(found[1].replace(",", ""))) if found else None


def _total(step: int, percent: float) -> int | None:
    """Return about how many steps there will be: SFT prints only how far it is."""
    return max(step, round(100 * step / percent)) if percent > 0 else None


def plain(line: str) -> str:
    """Return the line without terminal colours and trailing space."""
    return _ANSI.sub("", line).rstrip()


def says_disk_full(line: str) -> bool:
    """Whether a line reports that a disk is full; torch has words of its own for it."""
    return "No space left on device" in line or "PytorchStreamWriter failed writing" in line


def _number(text: str) -> float | None:
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
