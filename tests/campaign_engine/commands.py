"""Runs one command of a user in a story: bounded in time, its output kept, struck at moments."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.campaign_engine import processes
from tests.campaign_engine.faults import Action

ENDS_WITHIN_S = 480.0
LOOK_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Strike:
    """Something done to a running command: some seconds after its start, or when it says a text."""

    action: Action
    after_s: float = 0.0
    says: str = ""  # a regular expression; the seconds count from there

    def __str__(self) -> str:
        when = f"when it says {self.says!r}" if self.says else ""
        after = f"after {self.after_s:.1f} s" if self.after_s or not self.says else ""
        return f"{self.action} {' '.join(filter(None, (when, after)))}"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended, by itself or because its time was over."""

    words: tuple[str, ...]
    log: Path
    exit_code: int
    output: str
    seconds: float
    in_time: bool = True
    struck: int = 0  # strikes that hit

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class Running:
    """A command that has been started; leads a process group of its own, as in a terminal."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log: Path,
        strikes: Sequence[Strike] = (),
        perform: Callable[[Action], None],
    ) -> None:
        self.words = tuple(words)
        self.log = log
        self._strikes = list(strikes)
        self._perform = perform
        self._began = time.monotonic()
        self._said_at: dict[str, float] = {}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.words,
                cwd=cwd,
                env={**env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, backends: Path) -> Ended:
        """Return when it has ended; kill all of it when it does not."""
        pause, struck = threading.Event(), 0
        while self.process.poll() is None:
            if self._seconds() > ENDS_WITHIN_S:
                processes.kill(backends, "all")
                self.process.kill()
                self.process.wait()
                return self._ended(in_time=False, struck=struck)
            for strike in [one for one in self._strikes if self._due(one)]:
                self._strikes.remove(strike)
                self._perform(strike.action)
                struck += 1
            pause.wait(LOOK_S)
        return self._ended(in_time=True, struck=struck)

    def _due(self, strike: Strike) -> bool:
        if not strike.says:
            return self._seconds() >= strike.after_s
        if strike.says not in self._said_at:
            if not re.search(strike.says, self.log.read_text(errors="replace")):
                return False
            self._said_at[strike.says] = self._seconds()
        return self._seconds() >= self._said_at[strike.says] + strike.after_s

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _ended(self, *, in_time: bool, struck: int) -> Ended:
        return Ended(
            words=self.words,
            log=self.log,
            exit_code=self.process.returncode,
            output=self.log.read_text(errors="replace"),
            seconds=self._seconds(),
            in_time=in_time,
            struck=struck,
        )
