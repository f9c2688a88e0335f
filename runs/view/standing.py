"""What is known of a run, decided: which source to trust, how it stands, how long it will take.

Pure functions and frozen values; no I/O, no clock of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from container.contract.clock import moment
from container.contract.records import RunStatus, StageStatus, Verdict
from runs.errors import EXIT_FAILED, EXIT_GONE, EXIT_OK, EXIT_STOPPED

Standing = Literal["waiting", "running", "quiet", "gone", "succeeded", "failed", "stopped"]
Origin = Literal["machine", "bucket", "nowhere"]

QUIET_AFTER_S = 60.0  # the supervisor beats every 10 to 15 s; four missed beats are not a hiccup
RATE_WINDOW_S = 120.0  # long enough to even out an evaluation, short enough to follow a change

LOSSES_KEPT = 120  # for a curve of 30 characters

ENDED: frozenset[Standing] = frozenset({"succeeded", "failed", "stopped", "gone"})


@dataclass(frozen=True, kw_only=True)
class WatchLimits:
    """How long silence may last before it means something, in seconds."""

    quiet_after_s: float = QUIET_AFTER_S
    gone_after_s: float = 600.0
    first_beat_within_s: float = 1800.0  # image pull and boot of a rented machine take minutes


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The newest beat: what the machine wrote, and when this program first saw that."""

    beat_at: str
    seen_s: float  # monotonic
    known_age_s: float  # how old it was, at most, when it was first seen


def hear(
    last: Heartbeat | None, beat_at: str, *, now: datetime, now_s: float, live: bool = False
) -> Heartbeat:
    """Take note of a beat.

    The first beat's age is read off its own clock. One that changes under our eyes, or that the
    machine itself answers (`live`), is new whatever that clock says, so a machine whose clock is
    wrong does not look silent.
    """
    if last is not None and last.beat_at == beat_at:
        return last
    if last is not None or live:
        return Heartbeat(beat_at=beat_at, seen_s=now_s, known_age_s=0.0)
    beat = moment(beat_at)
    age = 0.0 if beat is None else max(0.0, (now - beat).total_seconds())
    return Heartbeat(beat_at=beat_at, seen_s=now_s, known_age_s=age)


def age_s(heartbeat: Heartbeat, *, now_s: float) -> float:
    """Return how long ago the machine last gave a sign of life."""
    return heartbeat.known_age_s + max(0.0, now_s - heartbeat.seen_s)


def newest(live: RunStatus | None, stored: RunStatus | None) -> tuple[RunStatus | None, Origin]:
    """Choose between the machine's own status and the one in the bucket.

    A higher attempt wins, as an address can still lead to an older container; then the later beat;
    the machine at a draw. Of different prefixes nothing is compared: the caller asked one run.
    """
    if live is None:
        return stored, "nowhere" if stored is None else "bucket"
    if stored is None:
        return live, "machine"
    if live.attempt != stored.attempt:
        return (live, "machine") if live.attempt > stored.attempt else (stored, "bucket")
    live_at, stored_at = moment(live.beat_at), moment(stored.beat_at)
    if stored_at is not None and (live_at is None or stored_at > live_at):
        return stored, "bucket"
    return live, "machine"


def stand(
    *,
    verdict: Verdict | None,
    beat_age_s: float | None,
    waited_s: float,
    limits: WatchLimits,
    no_verdict: str = "",
) -> Standing:
    """Say how a run stands. Only a verdict ends it; silence makes it quiet, then gone.

    Or its machine says that it has ended and that there will be none (`no_verdict` is why).
    `beat_age_s` is None while no status was ever seen; `waited_s` counts from our first look.
    """
    if verdict is not None:
        return verdict.outcome
    if no_verdict:
        return "failed"
    if beat_age_s is None:
        return "gone" if waited_s >= limits.first_beat_within_s else "waiting"
    if beat_age_s >= limits.gone_after_s:
        return "gone"
    return "quiet" if beat_age_s >= limits.quiet_after_s else "running"


def exit_code(standings: Iterable[Standing]) -> int:
    """Return what `watch` exits with: the worst of all runs, a failure before a silence."""
    all_of_them = set(standings)
    if "failed" in all_of_them:
        return EXIT_FAILED
    if "gone" in all_of_them:
        return EXIT_GONE
    if "stopped" in all_of_them:
        return EXIT_STOPPED
    return EXIT_OK


@dataclass(frozen=True)
class Sample:
    """One look at the step counter, for the rate."""

    at_s: float  # monotonic
    stage: str
    step: int


def sampled(samples: Sequence[Sample], status: RunStatus, *, now_s: float) -> list[Sample]:
    """Return the samples that still say something about the rate, with this status's own added.

    A new stage, or a step counter that went back (resumed, or restarted smaller), starts afresh.
    """
    if status.step is None:
        return []
    sample = Sample(now_s, status.stage, status.step)
    kept = [s for s in samples if s.stage == sample.stage and now_s - s.at_s <= RATE_WINDOW_S]
    if kept and kept[-1].step > sample.step:
        kept = []
    if kept and kept[-1].step == sample.step:
        return kept
    return [*kept, sample]


def stage_eta_s(samples: Sequence[Sample], status: RunStatus) -> float | None:
    """Return the seconds left of the running stage, or None when nothing supports a number.

    From the rate seen; before two steps were seen, from the stage's own time, which is too
    cautious after a resume as it counts the steps of earlier attempts for nothing.
    """
    step, total = status.step, status.total_steps
    if step is None or not total:
        return None
    left = max(0, total - step)
    if len(samples) >= 2 and samples[-1].step > samples[0].step:
        first, last = samples[0], samples[-1]
        return left * (last.at_s - first.at_s) / (last.step - first.step)
    elapsed = next((s.elapsed_s for s in status.stages if s.name == status.stage), 0.0)
    return left * elapsed / step if step > 0 and elapsed > 0 else None


def losses_seen(losses: Sequence[float], status: RunStatus) -> list[float]:
    """Return the losses seen while looking, this one added; thinned out, never cut off."""
    loss = status.loss
    if loss is None or not math.isfinite(loss) or (losses and losses[-1] == loss):
        return [*losses]
    kept = [*losses, loss]
    return kept if len(kept) <= LOSSES_KEPT else [*kept[:-1:2], kept[-1]]


def stages_left(stages: Sequence[StageStatus]) -> list[str]:
    """Return the names of the stages that still have to begin."""
    return [stage.name for stage in stages if stage.state == "waiting"]


@dataclass(frozen=True, kw_only=True)
class View:
    """One run at one moment, decided; all that is shown comes from here."""

    run: str
    prefix: str
    standing: Standing
    status: RunStatus | None = None
    verdict: Verdict | None = None
    origin: Origin = "nowhere"
    beat_age_s: float | None = None
    eta_s: float | None = None
    waited_s: float = 0.0
    estimated_cost_usd: str = ""
    losses: Sequence[float] = ()  # seen while looking, of the running stage
    trouble: str = ""  # why the last look was incomplete
    run_of_sweep: str = ""  # whose own config keys count; "" where the stack's do

    @property
    def reason(self) -> str:
        """Why it ended, by its verdict or by the machine that can write none; "" while it runs."""
        if self.verdict is not None:
            return self.verdict.reason
        return self.status.no_verdict if self.status is not None else ""

    @property
    def stage(self) -> str:
        """The stage now, or the last one that ran."""
        if self.verdict is not None:
            return self.verdict.stage
        return self.status.stage if self.status is not None else ""

    @property
    def elapsed_s(self) -> float:
        """Time over all attempts, as the machine counts it."""
        if self.verdict is not None:
            return self.verdict.elapsed_s
        return self.status.elapsed_s if self.status is not None else 0.0

    @property
    def dollars(self) -> float:
        """Money over all attempts, as the machine counts it."""
        if self.verdict is not None:
            return self.verdict.dollars
        return self.status.dollars if self.status is not None else 0.0


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a plain-text follower last printed about a run."""

    standing: Standing
    stage: str
    attempt: int
    step: int | None
    at_s: float
    in_time: str = ""


def worth_a_line(last: Line | None, view: View, *, now_s: float, every_s: float) -> bool:
    """Say whether a log should get a line: at once for a new stage, attempt, standing or forecast.

    Progress within a stage gets one each `every_s`, and standing still none at all.
    """
    if last is None:
        return True
    attempt = view.status.attempt if view.status is not None else 0
    if (last.standing, last.stage, last.attempt) != (view.standing, view.stage, attempt):
        return True
    if last.in_time != (view.status.in_time if view.status is not None else ""):
        return True
    step = view.status.step if view.status is not None else None
    return step != last.step and now_s - last.at_s >= every_s
