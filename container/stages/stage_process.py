"""Runs one stage's process to its end: lines, limits, stalls, stack dumps, the whole group gone.

Decides what the end was; what follows from it (retry, resume, verdict) is the supervisor's.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import secrets
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from container.contract.clock import Clock
from container.stages.out_of_memory import MemoryWatch
from container.system.process_group import MARK, catches, exit_reason, members, signal_all
from container.system.stop import StopBudget
from container.telemetry.nanochat_log import (
    Evaluation,
    Progress,
    TrainingStep,
    parse_line,
    plain,
    says_disk_full,
)

End = Literal["done", "failed", "out of memory", "stalled", "timed out", "diverged", "stopped"]

TAIL_LINES = 200
KILL_WAIT_S = 10.0  # a process in the driver may not end: the run must
DRAIN_S = 2.0  # when nobody asked to stop
LONGEST_LINE = 16_384
MOST_BAD_LOSSES = 20  # nanochat trains on with a loss that is no number, and exits with 0
HOOKS = Path(__file__).resolve().parent / "hooks"


@dataclass(frozen=True, kw_only=True)
class StageCommand:
    """A stage with everything filled in."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    time_limit_s: float
    first_step_limit_s: float
    step_limit_s: float
    watches_steps: bool
    silence_limit_s: float = 0.0  # 0: none


@dataclass(frozen=True, kw_only=True)
class StageEnd:
    """How a stage's process ended; `exit_code` is negative for a signal."""

    end: End
    exit_code: int
    reason: str = ""
    tail: list[str] = field(default_factory=list[str])
    last_step: int | None = None


def run_stage(
    command: StageCommand,
    *,
    on_line: Callable[[str], None],
    on_progress: Callable[[Progress], None],
    stop: threading.Event,
    stop_budget: StopBudget,
    clock: Clock,
    kill: Sequence[threading.Event] = (),
) -> StageEnd:
    """Run to the end; always returns, and leaves no process behind that can be ended.

    `stop` ends it at the next step, any of `kill` at once.
    """
    mark = secrets.token_hex(8)
    try:
        process = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env={**_with_hooks(command.env), MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        reason = f"cannot start {command.argv[0]}: {error.strerror}"
        return StageEnd(end="failed", exit_code=127, reason=reason, tail=[reason])
    run = _Run(command, process, mark, on_line, on_progress, stop, stop_budget, kill, clock)
    return run.to_the_end()


class _Run:
    def __init__(
        self,
        command: StageCommand,
        process: subprocess.Popen[bytes],
        mark: str,
        on_line: Callable[[str], None],
        on_progress: Callable[[Progress], None],
        stop: threading.Event,
        stop_budget: StopBudget,
        kill: Sequence[threading.Event],
        clock: Clock,
    ) -> None:
        self._command = command
        self._process = process
        self._mark = mark
        self._on_line = on_line
        self._on_progress = on_progress
        self._stop = stop
        self._stop_budget = stop_budget
        self._kill = kill
        self._clock = clock
        self._lines: queue.Queue[str | None] = queue.Queue(maxsize=10_000)
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._begin = self._moved_at = self._heard_at = clock.monotonic()
        self._last_step: int | None = None
        self._stop_asked_at: float | None = None
        self._memory = MemoryWatch()
        self._disk_full = ""
        self._bad_losses = 0
        assert process.stdout is not None  # noqa: S101  # a pipe was asked for
        self._reader = threading.Thread(
            target=_read_lines, args=(process.stdout, self._lines), daemon=True
        )
        self._reader.start()

    def to_the_end(self) -> StageEnd:
        end, reason = self._watch()
        if end == "stalled":
            self._dump_stacks()
        self._end_all()
        self._drain(self._stop_budget.drain_s if end == "stopped" else DRAIN_S)
        code = self._process.returncode
        code = -signal.SIGKILL if code is None else code
        if end == "done" and self._stop.is_set() and code != 0:
            end, reason = "stopped", "stopped on request"
        elif end == "done" and code != 0:
            end, reason = "failed", exit_reason(code) + self._disk_full
            if not self._disk_full and (memory := self._memory.reason(code)):
                end, reason = "out of memory", memory
        return StageEnd(
            end=end,
            exit_code=code,
            reason=reason,
            tail=list(self._tail),
            last_step=self._last_step,
        )

    def _watch(self) -> tuple[End, str]:
        """Take lines until the process ends by itself ("done") or must be ended."""
        while True:
            try:
                line = self._lines.get(timeout=0.25)
            except queue.Empty:
                line = ""
            if line is None:
                self._process.wait()
                return "done", ""
            stepped = self._take(line) if line else False
            if self._process.poll() is not None and self._lines.empty():
                return "done", ""
            now = self._clock.monotonic()
            if any(one.is_set() for one in self._kill):
                return "stopped", "ended: nobody waits for it any more"
            if self._stop.is_set():
                if self._stop_asked_at is None:
                    self._stop_asked_at = now
                waited = now - self._stop_asked_at > self._stop_budget.next_step_s
                if stepped or waited or not self._command.watches_steps:
                    return "stopped", "stopped on request"
            if self._bad_losses >= MOST_BAD_LOSSES:
                return "diverged", f"the loss is not a number, up to step {self._last_step}"
            if now - self._begin > self._command.time_limit_s:
                return "timed out", f"not done within {self._command.time_limit_s:.0f} s"
            stall = self._stall(now)
            if stall:
                return "stalled", stall

    def _take(self, line: str) -> bool:
        """Handle one line; return whether a training step ended."""
        self._tail.append(line)
        self._heard_at = self._clock.monotonic()
        self._on_line(line)
        self._memory.take(line)
        if says_disk_full(line):
            self._disk_full = f"; the disk is full: {line.strip()[:300]}"
        progress = parse_line(line) if self._command.watches_steps else None
        if progress is None:
            return False
        if isinstance(progress, Evaluation):
            self._moved_at = self._clock.monotonic()
        elif isinstance(progress, TrainingStep) and progress.step != self._last_step:
            self._last_step = progress.step
            self._moved_at = self._clock.monotonic()
        if isinstance(progress, TrainingStep):
            self._bad_losses = 0 if progress.loss is not None else self._bad_losses + 1
            self._memory.step()
        self._on_progress(progress)
        return isinstance(progress, TrainingStep)

    def _stall(self, now: float) -> str:
        silence_limit_s = self._command.silence_limit_s
        if silence_limit_s and now - self._heard_at > silence_limit_s:
            return f"not a word for {silence_limit_s:.0f} s"
        if not self._command.watches_steps:
            return ""
        if self._last_step is None:
            if now - self._begin > self._command.first_step_limit_s:
                return f"no first step within {self._command.first_step_limit_s:.0f} s"
            return ""
        if now - self._moved_at > self._command.step_limit_s:
            return f"no step after {self._last_step} for {self._command.step_limit_s:.0f} s"
        return ""

    def _dump_stacks(self) -> None:
        """Ask the stage's Python processes for their stacks; they go to the log like any line."""
        asked = [pid for pid in self._members() if catches(pid, signal.SIGUSR1)]
        signal_all(asked, signal.SIGUSR1)
        deadline = self._clock.monotonic() + (2.0 if asked else 0.0)
        while self._clock.monotonic() < deadline:
            try:
                line = self._lines.get(timeout=0.5)
            except queue.Empty:
                return
            if line is None:
                return
            self._take(line)

    def _members(self) -> list[int]:
        return members(self._process.pid, mark=self._mark)

    def _end_all(self) -> None:
        """End whatever is left of the stage, politely first; a retry needs its memory and files."""
        if self._process.poll() is None:
            signal_all(self._members(), signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._stop_budget.terminate_s)
        deadline = time.monotonic() + KILL_WAIT_S
        while (left := self._members()) and time.monotonic() < deadline:
            signal_all(left, signal.SIGKILL)
            time.sleep(0.01)  # polls: most are no children of this process
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(deadline - time.monotonic(), 0.1))

    def _drain(self, longest_s: float) -> None:
        """Take the lines that are still in the pipe."""
        deadline = self._clock.monotonic() + longest_s
        while self._clock.monotonic() < deadline:
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                if not self._reader.is_alive():
                    return
                continue
            if line is None:
                return
            self._take(line)


def _read_lines(stream: IO[bytes], lines: queue.Queue[str | None]) -> None:
    """Split at newline or carriage return; a lone progress bar becomes lines too."""
    rest = b""
    with stream:
        while chunk := os.read(stream.fileno(), 65_536):
            *whole, rest = re.split(rb"[\r\n]+", rest + chunk)
            if len(rest) > LONGEST_LINE:
                whole, rest = [*whole, rest], b""
            for line in whole:
                if line.strip():
                    lines.put(plain(line[:LONGEST_LINE].decode("utf-8", "replace")))
    if rest.strip():
        lines.put(plain(rest.decode("utf-8", "replace")))
    lines.put(None)


def _with_hooks(env: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(HOOKS), env.get("PYTHONPATH", "")]))
    return {**env, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}
