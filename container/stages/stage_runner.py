"""One stage to its end: from the newest checkpoint, again after a failure, its outputs uploaded."""

from __future__ import annotations

import threading
from dataclasses import replace

from container.contract.recipe import Stage, Upload
from container.contract.records import Artifact, Metric
from container.stages.context import RunContext, StoppedError
from container.stages.outputs import queue_outputs
from container.stages.retry_policy import Tries, decide
from container.stages.stage_process import StageEnd, run_stage
from container.stages.wandb_mode import WandbMode
from container.storage.checkpoint_uploader import CheckpointUploader
from container.storage.checkpoints import CheckpointMarker
from container.storage.resume import StageRecord
from container.storage.upload_queue import RECORDS, Batch
from container.telemetry.nanochat_log import Evaluation, Progress, TrainingStep


class StageFailedError(Exception):
    """A stage failed for good."""

    def __init__(self, stage: str, end: StageEnd, reason: str) -> None:
        super().__init__(f"stage {stage}: {reason}")
        self.stage = stage
        self.end = end
        self.reason = reason


class StageRunner:
    """Runs one stage of one attempt."""

    def __init__(
        self, context: RunContext, stage: Stage, *, abandon: threading.Event | None = None
    ) -> None:
        self._context = context
        self._stage = stage
        self._total_steps: int | None = None
        self._abandon = abandon or threading.Event()  # set: nobody waits for this stage any more
        self._wandb = WandbMode(
            context.environment,
            process_env=context.process_env,
            say=lambda text: context.run_log.event(text, stage=stage.name),
        )
        self._uploaders = [
            self._uploader(upload) for upload in stage.uploads if upload.kind == "checkpoint"
        ]

    @property
    def saves(self) -> bool:
        """Whether the stage writes checkpoints."""
        return bool(self._uploaders)

    def checkpoint_files(self) -> tuple[int, int]:
        """Return how many files of the newest complete step are uploaded, and of how many."""
        counted = [uploader.newest_files() for uploader in self._uploaders]
        return sum(up for up, _ in counted), sum(files for _, files in counted)

    def look(self) -> None:
        """Queue checkpoints that became complete."""
        for uploader in self._uploaders:
            uploader.look()

    def to_the_end(self) -> float:
        """Run until done, return the seconds; raises StageFailedError or StoppedError."""
        begin = self._context.clock.monotonic()
        try:
            self._until_done()
        finally:
            self._look_finally()
            if self._stage.needs_credentials:
                self._wandb.send_files(self._context.upload_queue)
        elapsed_s = self._context.clock.monotonic() - begin
        queue_outputs(self._context, self._stage, self._uploaders, elapsed_s=elapsed_s)
        return elapsed_s

    def _until_done(self) -> None:
        context, stage = self._context, self._stage
        if self._saved_before():
            return
        if stage.needs_credentials:
            self._wandb.begin()
        tries, newest = Tries(), -1
        while True:
            step = self._resume_step()
            if step is not None and step > newest:
                tries, newest = Tries(), step  # what failed before has been got over
            end = self._once(step)
            ended_badly = end.end in ("failed", "out of memory", "stalled", "timed out")
            if ended_badly and self._is_saved():
                # nanochat's report fails when base is resumed at its last step; and to train once
                # more would make another model of the same name, after this one was sent.
                context.run_log.event(f"{end.reason}, after its model was saved", stage=stage.name)
                return
            if self._wandb.is_to_blame(end):
                self._look_finally()
                continue
            end = self._missing(end)
            decision = decide(stage, end, tries, device_batch_size=context.device_batch_size)
            if decision.next == "done":
                return
            if decision.next == "stop":
                raise StoppedError
            if decision.next == "fail":
                raise StageFailedError(stage.name, end, decision.reason)
            if end.end == "stalled":
                run = context.environment.run
                context.notifier.tell("stalled", f"{run}: {stage.name} {decision.reason}")
            if decision.device_batch_size is not None:
                self._shrink(decision.device_batch_size)
            context.run_log.event(f"starts again: {decision.reason}", stage=stage.name)
            context.live_status.say(f"{stage.name} started again: {decision.reason}")
            self._look_finally()

    def _saved_before(self) -> bool:
        """Whether a stage that saves once has been saved by an earlier start; fetches its model.

        A model that was made of what is not there any more is forgotten, here and in the bucket.
        """
        context, stage = self._context, self._stage
        if not stage.saves_once:
            return False
        tag = context.fill("{tag}")
        markers = context.reusable.markers(stage.name)
        if context.reusable.done_before(stage, context.recipe):
            there = [marker for marker in markers if marker.tag == tag]
            if self._is_saved() or any(self._fetch(marker) for marker in there[:1]):
                context.run_log.event("its model was saved by an earlier start", stage=stage.name)
                return True
        for marker in markers:
            self._forget(marker)
        for uploader in self._uploaders:
            uploader.clear(tag)
        return False

    def _is_saved(self) -> bool:
        """Whether the last step is complete on disk: the one that is saved at all, or N of N."""
        tag = self._context.fill("{tag}")
        steps = [step.step for one in self._uploaders if (step := one.newest(tag)) is not None]
        return bool(steps) and (self._stage.saves_once or max(steps) == self._total_steps)

    def _once(self, step: int | None) -> StageEnd:
        context, stage = self._context, self._stage
        if step is not None:
            context.run_log.event(f"goes on from step {step}", stage=stage.name)

        def take(line: str) -> None:
            context.run_log.line(stage.name, line)
            self._wandb.take(line)

        wandb = self._wandb.environment() if stage.needs_credentials else {}
        end = run_stage(
            context.command(stage, resume_step=step, env=wandb),
            on_line=take,
            on_progress=self._progress,
            stop=context.stop,
            stop_budget=context.stop_budget,
            kill=(context.kill, self._abandon),
            clock=context.clock,
        )
        mask = context.run_log.mask  # the end goes into the verdict
        return replace(end, reason=mask(end.reason), tail=[mask(line) for line in end.tail])

    def _missing(self, end: StageEnd) -> StageEnd:
        """Success is exit code 0 and the expected files."""
        if end.end != "done":
            return end
        missing = self._context.missing_outputs(self._stage)
        tag = self._context.fill("{tag}")
        if any(uploader.newest(tag) is None for uploader in self._uploaders):
            missing.append(f"complete checkpoint of {tag}")
        if not missing:
            return end
        reason = f"exit code 0, but it left no {', '.join(missing)}"
        return StageEnd(end="failed", exit_code=0, reason=reason, tail=end.tail)

    def _resume_step(self) -> int | None:
        """Return the newest complete step, on disk or fetched; broken files are cleared away."""
        tag = self._context.fill("{tag}")
        for uploader in self._uploaders:
            newest = uploader.newest(tag)
            if not self._stage.resume_argv:
                continue
            for marker in self._context.reusable.markers(self._stage.name):
                if marker.tag != tag or (newest is not None and marker.step <= newest.step):
                    continue
                if self._fetch(marker):
                    return marker.step
            if newest is not None:
                return newest.step
        return None

    def _fetch(self, marker: CheckpointMarker) -> bool:
        """Bring a step onto the disk; one that is damaged in the bucket loses its marker."""
        context = self._context
        damaged = context.fetch(
            self._stage,
            marker.artifacts,
            what=f"cannot fetch step {marker.step}",
            abandoned=self._abandon.is_set,
        )
        if not damaged:
            return True
        self._forget(marker)
        for uploader in self._uploaders:
            uploader.newest(marker.tag)  # clears the files that did arrive
        return False

    def _forget(self, marker: CheckpointMarker) -> None:
        context = self._context
        context.persist(lambda: context.bucket.delete(marker.key), what="cannot delete a marker")
        context.reusable.forget_marker(marker)
        for uploader in self._uploaders:
            uploader.forget(marker)

    def _shrink(self, device_batch_size: int) -> None:
        """Go on with a smaller device batch, and remember it for a later attempt."""
        context = self._context
        context.device_batch_size = device_batch_size
        context.run_log.event(f"device batch size is now {device_batch_size}")
        record = StageRecord(
            stage=self._stage.name,
            done=False,
            attempt=context.past.attempt,
            device_batch_size=device_batch_size,
        )

        def write(_: list[Artifact]) -> None:
            context.bucket.put(record.key, record.to_json())

        context.upload_queue.add(Batch(name=record.key, priority=RECORDS, finish=write))

    def _progress(self, progress: Progress) -> None:
        context, name = self._context, self._stage.name
        if not isinstance(progress, Evaluation) and progress.total_steps:
            self._total_steps = progress.total_steps
        if context.live_status.stage == name:
            context.live_status.progress(progress)
        if isinstance(progress, TrainingStep):
            metric = Metric(
                stage=name,
                step=progress.step,
                at=context.clock.stamp(),
                total_steps=progress.total_steps,
                loss=progress.loss,
                tokens_per_s=progress.tokens_per_s,
                dt_ms=progress.dt_ms,
                mfu=progress.mfu,
            )
            context.run_log.metric(metric)
        elif isinstance(progress, Evaluation) and progress.val_bpb is not None:
            context.run_log.metric(
                Metric(
                    stage=name,
                    step=progress.step,
                    at=context.clock.stamp(),
                    val_bpb=progress.val_bpb,
                )
            )

    def _look_finally(self) -> None:
        for uploader in self._uploaders:
            uploader.look(nobody_writes=True)

    def _uploader(self, upload: Upload) -> CheckpointUploader:
        context, stage = self._context, self._stage
        uploader = CheckpointUploader(
            stage=stage.name,
            folder=context.work_dir / context.fill(upload.local),
            key=context.fill(upload.key).rstrip("/"),
            upload=upload,
            bucket=context.bucket,
            upload_queue=context.upload_queue,
            world_size=context.environment.world_size,
            attempt=context.past.attempt,
            say=lambda text: context.run_log.event(text, stage=stage.name),
        )
        uploader.know(context.reusable.markers(stage.name))
        return uploader
