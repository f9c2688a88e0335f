"""One attempt at the run, under the lease: look, record, verify, stages, flush; says how it ended.

Writes everything but the manifest and the verdict.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from container.contract.clock import Clock
from container.contract.keys import RUN_KEY, STATUS_KEY, attempt_key
from container.contract.link_speed import usual_bytes_per_s
from container.contract.records import Attempt, Outcome, RunRecord, Verdict
from container.stages.context import RunContext, StoppedError
from container.stages.pipeline import Pipeline
from container.stages.stage_runner import StageFailedError
from container.storage.bucket import BucketError, ObjectChangedError
from container.storage.download import DiskError
from container.storage.resume import SAME_POINT_LIMIT, differences
from container.supervisor.all_reduce_check import check_all_reduce
from container.supervisor.hours_watch import Hours
from container.supervisor.machine_check import Check, Gpu, gpu_memory_in_use, verify
from container.telemetry.run_status import LiveStatus

BASE = "base"  # the stage whose hours a recipe's timing tells
OWN_STAGES_BEFORE, OWN_STAGES_AFTER = ("verify",), ("flush", "verdict")


class ForeignRunError(Exception):
    """The prefix holds another run, which this container must not touch; there is no verdict."""


class MachineRefusedError(Exception):
    """The run cannot train on this machine, and may on another: there is no verdict."""


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """How the run ended; becomes the verdict."""

    outcome: Outcome
    stage: str
    reason: str
    exit_code: int = 0
    log_tail: list[str] = field(default_factory=list[str])

    def verdict(self, *, run: str, attempt: int, live_status: LiveStatus, clock: Clock) -> Verdict:
        """Return the verdict that it becomes, with what the run has taken so far."""
        return Verdict(
            run=run,
            attempt=attempt,
            outcome=self.outcome,
            stage=self.stage,
            reason=self.reason,
            exit_code=self.exit_code,
            started_at=live_status.started_at,
            ended_at=clock.stamp(),
            elapsed_s=round(live_status.elapsed_s(), 1),
            dollars=float(live_status.dollars()),
            log_tail=self.log_tail,
        )


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How often things are looked at; tests are in a hurry."""

    look_s: float = 1.0  # for complete checkpoints
    status_s: float = 10.0  # R2 allows one write a second to a key
    cut_s: float = 15.0  # log and metric segments
    gpu_s: float = 15.0
    order_s: float = 10.0  # whether an order to stop was given, or more hours were bought
    hours: Hours = field(default_factory=Hours)


def run_attempt(context: RunContext, *, timing: Timing) -> RunEnd:
    """Run all stages.

    Raises ForeignRunError, MachineRefusedError, or StoppedError when another container took over.
    """
    live_status, past = context.live_status, context.past
    names = [stage.name for stage in context.recipe.stages]
    live_status.plan([*OWN_STAGES_BEFORE, *names, *OWN_STAGES_AFTER])
    live_status.begin_stage("verify")
    pipeline = Pipeline(context)
    live_status.checkpoint_files = pipeline.checkpoint_files
    helpers = _Helpers(context, pipeline, timing)
    helpers.start()
    try:
        for note in past.notes:
            context.run_log.event(note)
        point = past.point(context.recipe)
        checks, gpus = verify(
            context.environment, context.recipe, context.bucket, clock=context.clock
        )
        attempt = _record_start(context, gpus, point=point)
        refused = _refused(context, checks)
        if refused and any(one.outcome == "refused" and one.is_of_run for one in checks):
            return RunEnd(outcome="failed", stage="verify", reason=refused)
        attempt, refused = (attempt, refused) if refused else _check_all_reduce(context, attempt)
        if refused:
            _record_refusal(context, replace(attempt, refused=refused))
            raise MachineRefusedError(refused)
        times = past.times_at(point)
        if times >= SAME_POINT_LIMIT:
            reason = f"{times} attempts in a row ended without getting beyond {point}"
            return RunEnd(outcome="failed", stage=point.partition("@")[0], reason=reason)
        live_status.end_stage("verify", "done")
        _expect_speed(context)
        live_status.say("training")
        pipeline.run()
        return _flush(context, pipeline)
    except StageFailedError as error:
        return RunEnd(
            outcome="failed",
            stage=error.stage,
            reason=error.reason,
            exit_code=error.end.exit_code,
            log_tail=error.end.tail,
        )
    except DiskError as error:
        return RunEnd(outcome="failed", stage=live_status.stage, reason=str(error))
    except StoppedError:
        if context.kill.is_set():
            raise
        return RunEnd(outcome="stopped", stage=live_status.stage, reason=context.why_stopped())
    finally:
        helpers.stop()


def with_models(end: RunEnd, context: RunContext, *, give_up: Callable[[], bool]) -> RunEnd:
    """Try once more what `model/` lacks; return the end, whose reason says what it still lacks."""
    if end.outcome == "stopped":
        context.model_folder.stop()
        return end
    missing = context.model_folder.finish(give_up=give_up)
    if not missing:
        return end
    return replace(end, reason=f"{end.reason}; could not be copied: {', '.join(missing)}")


def _flush(context: RunContext, pipeline: Pipeline) -> RunEnd:
    context.live_status.begin_stage("flush")
    context.live_status.say("uploading what is left")
    context.run_log.cut()
    while not context.upload_queue.wait_empty(1.0):
        if context.ending:
            raise StoppedError
    context.live_status.end_stage("flush", "done")
    reason = "all stages done"
    if pipeline.optional_failures:
        reason += f", without: {'; '.join(pipeline.optional_failures)}"
    last = context.recipe.stages[-1].name if context.recipe.stages else "flush"
    return RunEnd(outcome="succeeded", stage=last, reason=reason)


def _refused(context: RunContext, checks: Sequence[Check]) -> str:
    """Log checks; return why the run ends with them, "" where it goes on."""
    for check in checks:
        context.run_log.event(f"{check.name}: {check.outcome}, {check.detail}")
    refused = [f"{one.name} ({one.detail})" for one in checks if one.outcome == "refused"]
    return f"the machine is not what was ordered: {'; '.join(refused)}" if refused else ""


def _record_refusal(context: RunContext, attempt: Attempt) -> None:
    context.live_status.end_stage("verify", "failed")
    context.live_status.machine_refused(attempt.refused)
    context.persist(
        lambda: context.bucket.put(attempt_key(attempt.number), attempt.to_json()),
        what="cannot write why the machine is refused",
    )


def _expect_speed(context: RunContext) -> None:
    """Let the first steps of base training decide, where it is known how long it takes here."""
    environment, recipe = context.environment, context.recipe
    is_ahead = any(one.name == BASE for one in recipe.stages) and not context.reusable.done(BASE)
    takes_s = recipe.base_seconds(gpu_type=environment.gpu, gpus=environment.world_size)
    context.live_status.machine_passes(timed_stage=BASE, takes_s=takes_s if is_ahead else 0.0)


def _check_all_reduce(context: RunContext, attempt: Attempt) -> tuple[Attempt, str]:
    """Let the ranks reduce once; records and shows how fast.

    Returns the attempt with it, and why the machine is refused.
    """
    found = check_all_reduce(context)
    if context.ending:
        raise StoppedError
    if found is None:
        return attempt, ""
    check, bytes_per_s = found
    usual = usual_bytes_per_s(context.environment.gpu)
    context.live_status.all_reduce(bytes_per_s, usual_bytes_per_s=usual)
    if bytes_per_s:
        attempt = replace(attempt, all_reduce_bytes_per_s=bytes_per_s)
        body = attempt.to_json()
        context.persist(
            lambda: context.bucket.put(attempt_key(attempt.number), body),
            what="cannot write the attempt's record",
        )
    return attempt, _refused(context, [check])


def _record_start(context: RunContext, gpus: list[Gpu], *, point: str) -> Attempt:
    """Write `run.json` (the first attempt) and `attempts/<n>.json`."""
    environment, past = context.environment, context.past
    models = [gpu.model for gpu in gpus]
    record = RunRecord(
        run=environment.run,
        recipe=environment.recipe,
        settings=context.recipe.values(),
        nanochat_commit=str(context.values()["nanochat_commit"]),
        image_digest=environment.image_digest,
        gpus=models,
        world_size=environment.world_size,
        price_usd_per_hour=float(environment.price_usd_per_hour),
        duration_hours=environment.duration_hours,
        created_at=context.live_status.started_at,
    )
    if past.run is not None:
        mixed = differences(past.run, record)
        if mixed:
            raise ForeignRunError(f"this prefix belongs to another run: {'; '.join(mixed)}")
    stage, _, step = point.partition("@")
    markers = past.markers.get(stage, [])
    attempt = Attempt(
        number=past.attempt,
        started_at=context.live_status.started_at,
        host=socket.gethostname(),
        reason="first start" if past.attempt == 1 else "restarted without a verdict",
        gpus=models,
        resumed_from=markers[0].key if markers else "",
        point=point,
        device_batch_size=context.device_batch_size,
    )
    if past.attempt > 1:
        context.run_log.event(f"attempt {past.attempt} goes on with {stage}, step {step}")

    def write() -> None:
        if past.run is None:
            try:
                context.bucket.put(RUN_KEY, record.to_json(), only_if_absent=True)
            except ObjectChangedError:
                context.run_log.event("run.json is there already")
        context.bucket.put(attempt_key(past.attempt), attempt.to_json())

    context.persist(write, what="cannot write the start of the attempt")
    return attempt


class _Helpers:
    """Threads beside the stages: checkpoints and segments, the status record, GPU memory."""

    def __init__(self, context: RunContext, pipeline: Pipeline, timing: Timing) -> None:
        self._context = context
        self._ended = threading.Event()
        self._threads = [
            self._every(timing.look_s, pipeline.look_for_checkpoints),
            self._every(timing.cut_s, context.run_log.cut),
            self._every(timing.status_s, lambda: put_status(context)),
        ]
        self._memory: int | None = None
        if context.environment.expects_gpu:
            context.live_status.gpu_memory = lambda: self._memory
            self._threads.append(self._every(timing.gpu_s, self._look_at_gpus))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()

    def _every(self, seconds: float, call: Callable[[], object]) -> threading.Thread:
        def work() -> None:
            while not self._ended.is_set():
                try:
                    call()
                except Exception as error:  # noqa: BLE001  # a file that went away, a full disk,
                    # a mistake of ours: the next look tells, and without looks nothing is uploaded.
                    what = getattr(error, "strerror", None) or type(error).__name__
                    self._context.run_log.event(f"a look failed: {what}")
                self._ended.wait(seconds)

        return threading.Thread(target=work, daemon=True)

    def _look_at_gpus(self) -> None:
        self._memory = gpu_memory_in_use()


def put_status(context: RunContext) -> bool:
    """Replace `status.json`; a status that does not arrive is made up for by the next."""
    try:
        context.bucket.put(STATUS_KEY, context.live_status.snapshot().to_json())
    except BucketError:
        return False
    return True
