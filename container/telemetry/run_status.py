"""What the run is doing right now: one thread-safe place that the page and the records read."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from decimal import Decimal

from container.contract.bought_time import InTime, Needs, needs
from container.contract.clock import Clock
from container.contract.machine_trust import MachineState, speed
from container.contract.records import Outcome, RunStatus, StageState, StageStatus
from container.contract.still_rented import hours_at_most
from container.contract.stop_order import NextSave, next_saved_step
from container.telemetry.nanochat_log import Horizon, Progress, TrainingStep

CURVE_POINTS = 4000  # when there are more, half of the steps is left out: the page stays small
PACE_STEPS = 50  # over which the pace is taken: some evaluations, not all that was
MOST_STRIDE = 1 << 40  # more steps than any stage has


class LiveStatus:
    """Collects state from all threads; hands out consistent snapshots."""

    def __init__(
        self,
        *,
        run: str,
        recipe: str,
        price_usd_per_hour: Decimal,
        clock: Clock,
        rented_hours: int = 0,
    ) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._run = run
        self._recipe = recipe
        self._price = price_usd_per_hour
        self._begin = self._process_began = clock.monotonic()
        self._rented_hours = rented_hours
        self._started_at = clock.stamp()
        self._earlier_s = 0.0
        self._attempt = 0
        self._message = "starting"
        self._stage = ""
        self._order: list[str] = []
        self._states: dict[str, StageState] = {}
        self._elapsed: dict[str, float] = {}
        self._stage_begin: dict[str, float] = {}
        self._last: TrainingStep | None = None
        self._told: deque[tuple[float, int]] = deque(maxlen=PACE_STEPS)
        self._saves_every: int | None = None
        self._total_steps: int | None = None
        self._outcome: Outcome | None = None
        self._no_verdict = ""
        self._curve: list[tuple[str, int, float]] = []
        self._stride = 1
        self._stopping = ""
        self._bought_until: float | None = None
        self._in_time: InTime = ""
        self._stage_needs_s: float | None = None
        self._machine: tuple[MachineState, str] = ("", "")
        self._timed_stage, self._timed_s = "", 0.0
        self.checkpoint_files: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.bytes_counter: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.gpu_memory: Callable[[], int | None] = lambda: None
        self._all_reduce = (0.0, 0.0)
        self.log_lines: deque[str] = deque(maxlen=60)

    def plan(self, stages: list[str]) -> None:
        """Set the list of stages, all waiting."""
        with self._lock:
            self._order = stages
            for name in stages:
                self._states[name] = "waiting"
                self._elapsed.pop(name, None)

    def count_earlier(self, *, attempt: int, elapsed_s: float) -> None:
        """Say which attempt this is, and how long the attempts before it ran."""
        with self._lock:
            self._attempt = attempt
            self._earlier_s = elapsed_s

    def begin_stage(
        self, name: str, *, background: bool = False, saves_every: int | None = None
    ) -> None:
        """A stage starts; its steps are counted from nothing.

        `saves_every` is 0 where only its end is saved, None where it has no steps to save.
        """
        with self._lock:
            self._states[name] = "running"
            self._stage_begin[name] = self._clock.monotonic()
            if not background:
                self._stage = name
                self._last = None
                self._told.clear()
                self._saves_every = saves_every
                self._total_steps = None

    def end_stage(self, name: str, state: StageState) -> None:
        """A stage ended as done, skipped or failed."""
        with self._lock:
            self._states[name] = state
            if name in self._stage_begin:
                self._elapsed[name] = self._clock.monotonic() - self._stage_begin.pop(name)

    def say(self, message: str) -> None:
        """Set the one-line message of the status."""
        with self._lock:
            self._message = message

    def say_stopping(self, what: str) -> None:
        """Set what a stop waits for; "" when it was called off."""
        with self._lock:
            self._stopping = what

    def next_save(self) -> NextSave | None:
        """Return the next save of the running stage; None where little is lost without.

        Before its second step only one was done since the last save, and that one has the compiling
        in it, which is no pace.
        """
        with self._lock:
            last, every = self._last, self._saves_every
            if last is None or every is None or not self._told:
                return None
            (first_at, first), (last_at, newest) = self._told[0], self._told[-1]
            if newest == first:
                return None
            ahead = next_saved_step(step=last.step, total_steps=self._total_steps, every=every)
            if ahead is None:
                return None
            step_s = (last_at - first_at) / (newest - first)
            since_s = self._clock.monotonic() - last_at
            in_s = max((ahead[0] - last.step) * step_s - since_s, 0.0)
            return NextSave(stage=self._stage, step=ahead[0], in_s=in_s, is_last=ahead[1])

    def bought(self, *, left_s: float, in_time: InTime = "", needs_s: float | None = None) -> None:
        """Set how long the bought hours last, and whether the run will end within them."""
        with self._lock:
            self._bought_until = self._clock.monotonic() + left_s
            self._in_time, self._stage_needs_s = in_time, needs_s

    def stage_needs(self) -> Needs | None:
        """Return what the running stage still takes; None where nothing supports a number."""
        with self._lock:
            if self._last is None or self._total_steps is None:
                return None
            steps_left = max(self._total_steps - self._last.step - 1, 0)
            return needs(list(self._told), steps_left=steps_left, now_s=self._clock.monotonic())

    def all_reduce(self, bytes_per_s: float, *, usual_bytes_per_s: float) -> None:
        """Set how fast the GPUs reduce with one another, and what is usual."""
        with self._lock:
            self._all_reduce = (bytes_per_s, usual_bytes_per_s)

    def machine_passes(self, *, timed_stage: str = "", takes_s: float = 0.0) -> None:
        """The machine is as ordered; where a stage's seconds are known its first steps decide."""
        with self._lock:
            self._timed_stage, self._timed_s = timed_stage, takes_s
            self._machine = ("checking" if takes_s else "passed", "it is as ordered")

    def machine_refused(self, why: str) -> None:
        """The machine is not as ordered."""
        with self._lock:
            self._machine = ("refused", why)

    def end(self, outcome: Outcome, *, elapsed_s: float | None = None) -> None:
        """The verdict is written; the run's time stops at `elapsed_s`."""
        with self._lock:
            self._outcome = outcome
            self._earlier_s = self.elapsed_s() if elapsed_s is None else elapsed_s
            self._begin = -1.0

    def end_without_verdict(self, reason: str) -> None:
        """The run has ended here, and nobody can write that down: this status is all that tells."""
        with self._lock:
            self._no_verdict = self._message = reason

    def progress(self, seen: Progress) -> None:
        """Take in what a log line said."""
        with self._lock:
            if isinstance(seen, Horizon):
                self._total_steps = seen.total_steps
            elif isinstance(seen, TrainingStep):
                self._last = seen
                if self._told and self._told[-1][1] >= seen.step:
                    self._told.clear()  # started again
                self._told.append((self._clock.monotonic(), seen.step))
                self._total_steps = seen.total_steps or self._total_steps
                self._judge_speed()
                if seen.loss is not None:
                    self.add_point(self._stage, seen.step, seen.loss)

    def _judge_speed(self) -> None:
        if self._machine[0] != "checking" or self._stage != self._timed_stage:
            return
        if self._total_steps:
            step_s = self._timed_s / self._total_steps
            found = speed(list(self._told), expected_step_s=step_s)
            self._machine = found if found[0] != "checking" else self._machine

    def add_point(self, stage: str, step: int, loss: float) -> None:
        """Add to the loss curve; a step that is done again replaces what came after it."""
        with self._lock:
            while self._curve and self._curve[-1][0] == stage and self._curve[-1][1] >= step:
                self._curve.pop()
            self._curve[-2:] = _thinned([*self._curve[-2:], (stage, step, loss)], self._stride)
            while len(self._curve) > CURVE_POINTS and self._stride < MOST_STRIDE:
                self._stride *= 2
                self._curve = _thinned(self._curve, self._stride)

    def add_past(self, points: list[tuple[str, int, float]]) -> None:
        """Put the points of earlier attempts, oldest first, before those that are there."""
        with self._lock:
            since, self._curve = self._curve, []
            for point in [*points, *since]:
                self.add_point(*point)

    def adopt(self, status: RunStatus) -> None:
        """Show the stages and the last step of an earlier attempt until this one has its own."""
        with self._lock:
            self._order = [stage.name for stage in status.stages]
            for stage in status.stages:
                self._states[stage.name] = "waiting" if stage.state == "running" else stage.state
                self._elapsed[stage.name] = stage.elapsed_s
            self._total_steps = status.total_steps
            if status.step is not None:
                self._last = TrainingStep(
                    status.step, status.total_steps, status.loss, status.tokens_per_s, None
                )

    def curve(self) -> list[tuple[str, int, float]]:
        """Return (stage, step, loss), oldest first."""
        with self._lock:
            return list(self._curve)

    def elapsed_s(self) -> float:
        """Return the run's seconds over all attempts."""
        with self._lock:
            running = 0.0 if self._begin < 0 else self._clock.monotonic() - self._begin
            return self._earlier_s + running

    def dollars(self) -> Decimal:
        """Return what the run cost so far: time over all attempts x hourly price."""
        hours = Decimal(str(round(self.elapsed_s(), 3))) / Decimal(3600)
        return (hours * self._price).quantize(Decimal("0.0001"))

    @property
    def started_at(self) -> str:
        return self._started_at

    @property
    def stage(self) -> str:
        return self._stage

    @property
    def step(self) -> int | None:
        return self._last.step if self._last else None

    @property
    def outcome(self) -> Outcome | None:
        return self._outcome

    def snapshot(self) -> RunStatus:
        """Return the status record of this moment."""
        uploaded, pending = self.bytes_counter()
        files_up, files = self.checkpoint_files()
        with self._lock:
            last, ahead = self._last, self.next_save()
            return RunStatus(
                run=self._run,
                attempt=self._attempt,
                recipe=self._recipe,
                stage=self._stage,
                stages=[
                    StageStatus(name=name, state=self._states[name], elapsed_s=self._seconds(name))
                    for name in self._order
                ],
                step=last.step if last else None,
                total_steps=self._total_steps,
                loss=last.loss if last else None,
                tokens_per_s=last.tokens_per_s if last else None,
                mfu=last.mfu if last else None,
                gpu_memory_bytes=self.gpu_memory(),
                all_reduce_bytes_per_s=self._all_reduce[0],
                usual_all_reduce_bytes_per_s=self._all_reduce[1],
                uploaded_bytes=uploaded,
                pending_bytes=pending,
                started_at=self._started_at,
                beat_at=self._clock.stamp(),
                elapsed_s=round(self.elapsed_s(), 1),
                dollars=float(self.dollars()),
                message=self._message,
                outcome=self._outcome,
                no_verdict=self._no_verdict,
                next_save_step=ahead.step if ahead else None,
                next_save_s=round(ahead.in_s, 1) if ahead else None,
                checkpoint_files=files,
                checkpoint_files_up=files_up,
                rented_hours_left=self._rented_hours_left(),
                stopping=self._stopping,
                bought_left_s=self._bought_left_s(),
                in_time=self._in_time if self._outcome is None else "",
                stage_needs_s=self._stage_needs_s,
                machine=self._machine[0],
                machine_why=self._machine[1],
            )

    def _bought_left_s(self) -> float | None:
        if self._bought_until is None:
            return None
        return round(self._bought_until - self._clock.monotonic(), 1)

    def _rented_hours_left(self) -> float | None:
        """Return what is left of the hours, by the end that was told; else of the first ones."""
        left_s = self._bought_left_s()
        if left_s is not None:
            return round(max(left_s, 0.0) / 3600, 2)
        if not self._rented_hours:
            return None
        used_s = self._clock.monotonic() - self._process_began
        return round(hours_at_most(self._rented_hours, used_s=used_s), 2)

    def _seconds(self, name: str) -> float:
        if name in self._stage_begin:
            return round(self._clock.monotonic() - self._stage_begin[name], 1)
        return round(self._elapsed.get(name, 0.0), 1)


def _thinned(points: list[tuple[str, int, float]], stride: int) -> list[tuple[str, int, float]]:
    """Return the first point of every `stride` steps, and the last one of each stage."""
    kept: list[tuple[str, int, float]] = []
    for n, (stage, step, loss) in enumerate(points):
        begins = not kept or kept[-1][0] != stage or kept[-1][1] // stride != step // stride
        ends = n + 1 == len(points) or points[n + 1][0] != stage
        if begins or ends:
            kept.append((stage, step, loss))
    return kept
