"""The recipe's stages in order: skipped when done, in the background when data, else to their end.

How one stage is run is `stage_runner`'s; lease, verify, verdict and page are the supervisor's.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from container.contract.recipe import Stage
from container.contract.records import Artifact
from container.stages.context import RunContext, StoppedError
from container.stages.stage_runner import StageFailedError, StageRunner

BACKGROUND_ENDS_WITHIN_S = 5.0


@dataclass
class Pipeline:
    """Runs the stages of one attempt."""

    context: RunContext
    abandon: threading.Event = field(default_factory=threading.Event)  # ends background stages
    optional_failures: list[str] = field(default_factory=list[str])
    _running: list[StageRunner] = field(default_factory=list[StageRunner])
    _saving: StageRunner | None = None  # the last one that wrote checkpoints
    _background: list[_Background] = field(default_factory=list["_Background"])

    def run(self) -> None:
        """Run all stages; raises StageFailedError or StoppedError. No stage runs afterwards."""
        try:
            self._run()
        finally:
            self.abandon.set()
            for background in self._background:
                background.join(BACKGROUND_ENDS_WITHIN_S)

    def _run(self) -> None:
        names = {stage.name for stage in self.context.recipe.stages}
        for stage in self.context.recipe.stages:
            self._join(before=stage.name)
            if self.context.ending:
                raise StoppedError
            if stage.needed_by in names:
                background = _Background(stage, self)
                self._background.append(background)
                background.start()
            else:
                self.run_stage(stage)
        self._join(before="")

    def look_for_checkpoints(self) -> None:
        """Queue what became complete; called every second or so while stages run."""
        for runner in list(self._running):
            runner.look()

    def checkpoint_files(self) -> tuple[int, int]:
        """Return how many files of the newest complete checkpoint are uploaded, and of how many."""
        return self._saving.checkpoint_files() if self._saving else (0, 0)

    def _saves_every(self, stage: Stage) -> int | None:
        if stage.progress != "nanochat" or not any(u.kind == "checkpoint" for u in stage.uploads):
            return None
        return max(int(self.context.fill(stage.saves_every) or 0), 0)

    def run_stage(self, stage: Stage, *, background: bool = False) -> None:
        """Run one stage to its end, or skip it."""
        context = self.context
        if self._skips(stage):
            return
        context.live_status.begin_stage(
            stage.name, background=background, saves_every=self._saves_every(stage)
        )
        context.run_log.event("stage started", stage=stage.name)
        runner = StageRunner(context, stage, abandon=self.abandon)
        self._running.append(runner)
        if runner.saves:
            self._saving = runner
        try:
            elapsed_s = runner.to_the_end()
        except StageFailedError as error:
            context.live_status.end_stage(stage.name, "failed")
            if background:
                context.live_status.say(
                    f"{stage.name} failed: {error.reason}; once more when needed"
                )
                context.run_log.event(f"failed: {error.reason}", stage=stage.name)
            if not stage.optional or background:
                raise
            self.optional_failures.append(f"{stage.name}: {error.reason}")
            context.run_log.event(f"goes on without it: {error.reason}", stage=stage.name)
            return
        finally:
            self._running.remove(runner)
        context.live_status.end_stage(stage.name, "done")
        context.run_log.event(f"stage done in {elapsed_s:.0f} s", stage=stage.name)
        context.run_log.cut()

    def _join(self, *, before: str) -> None:
        """Wait for the background stages that the named one needs; all of them for ""."""
        for background in list(self._background):
            if before in ("", background.stage.needed_by):
                background.join()
                self._background.remove(background)
                if isinstance(background.error, StageFailedError) and not self.context.ending:
                    # Its source may be back by now, and hours of training may hang on it.
                    self.context.run_log.event("once more: it is needed now", stage=background.name)
                    self.run_stage(background.stage)
                elif background.error is not None:
                    raise background.error

    def _skips(self, stage: Stage) -> bool:
        """Whether the stage need not run; brings its artefacts back."""
        context, reusable = self.context, self.context.reusable
        if stage.only_for and all(reusable.done(name) for name in stage.only_for):
            self._skip(stage, f"only {', '.join(stage.only_for)} needed it")
            return True
        if not reusable.done(stage.name):
            return False
        if not stage.outputs and not stage.uploads:
            # What it fetched cannot be looked for, and this may be another machine's disk.
            return False
        bad = restore(context, stage)
        if bad:
            self._forget(stage, bad)
        if bad or context.missing_outputs(stage):
            return False
        if record := reusable.record(stage.name):
            context.model_folder.want(record.artifacts)
        self._skip(stage, "done by an earlier attempt")
        return True

    def _skip(self, stage: Stage, why: str) -> None:
        self.context.live_status.end_stage(stage.name, "skipped")
        self.context.run_log.event(f"stage skipped: {why}", stage=stage.name)

    def _forget(self, stage: Stage, bad: list[Artifact]) -> None:
        """A stage whose artefacts are damaged is not done, nor is what came after it.

        Later checkpoints were made of it; whether they may be used is decided by their stage.
        """
        reusable = self.context.reusable
        names = [one.name for one in self.context.recipe.stages]
        reusable.forget_stages(names[names.index(stage.name) :])
        for marker in reusable.markers_of({artifact.key for artifact in bad}):
            self.context.persist(
                lambda key=marker.key: self.context.bucket.delete(key), what="damaged marker"
            )
            reusable.forget_marker(marker)


def restore(context: RunContext, stage: Stage) -> list[Artifact]:
    """Fetch what a stage left in the bucket; return what is not as recorded."""
    record = context.reusable.record(stage.name)
    artifacts = record.artifacts if record else []
    return context.fetch(stage, artifacts, what=f"cannot fetch what {stage.name} left")


class _Background(threading.Thread):
    def __init__(self, stage: Stage, pipeline: Pipeline) -> None:
        super().__init__(name=stage.name, daemon=True)
        self.stage = stage
        self.error: Exception | None = None
        self._pipeline = pipeline

    def run(self) -> None:
        try:
            self._pipeline.run_stage(self.stage, background=True)
        except Exception as error:  # noqa: BLE001  # raised where the stage is waited for
            self.error = error
