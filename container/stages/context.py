"""What all parts of one attempt share: the collaborators, and how templates are filled."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from container.contract.clock import Clock
from container.contract.environment import RunEnvironment, stage_environment
from container.contract.recipe import Recipe, SettingValue, Stage, render, render_argv
from container.contract.records import Artifact
from container.stages.model_readme import model_readme
from container.stages.stage_process import StageCommand
from container.storage.bucket import RunBucket
from container.storage.download import fetch, local_path
from container.storage.model_folder import ModelFolder
from container.storage.resume import PastAttempts, Reusable
from container.storage.retry import EndedError, doubling, retry_until
from container.storage.upload_queue import UploadQueue
from container.system.stop import StopBudget
from container.telemetry.notifier import Notifier
from container.telemetry.run_log import RunLog
from container.telemetry.run_status import LiveStatus

APP = Path(__file__).resolve().parents[2]

T = TypeVar("T")


class StoppedError(Exception):
    """The run was asked to stop, or another container took it over."""


@dataclass(kw_only=True)
class RunContext:
    """One attempt. `stop` asks for an orderly end, `kill` for one without a word."""

    recipe: Recipe
    environment: RunEnvironment
    past: PastAttempts
    bucket: RunBucket
    upload_queue: UploadQueue
    live_status: LiveStatus
    run_log: RunLog
    clock: Clock
    stop: threading.Event
    stop_budget: StopBudget
    kill: threading.Event
    process_env: Mapping[str, str]
    notifier: Notifier
    device_batch_size: int
    why_stopped: Callable[[], str] = lambda: "stopped on request (SIGTERM)"
    reusable: Reusable = field(init=False)  # of `past`; shrinks as damage comes to light
    model_folder: ModelFolder = field(init=False)

    def __post_init__(self) -> None:
        self.reusable = Reusable(self.past)
        self.model_folder = ModelFolder(
            self.bucket,
            upload_queue=self.upload_queue,
            readme=self._model_readme,
            say=lambda text: self.run_log.event(text, stage="model"),
        )

    @property
    def work_dir(self) -> Path:
        return self.environment.work_dir

    @property
    def ending(self) -> bool:
        """Whether the attempt is to end."""
        return self.stop.is_set() or self.kill.is_set()

    def values(self, **more: SettingValue) -> dict[str, SettingValue]:
        """Return all template values."""
        values = self.recipe.values()
        values |= {
            "workdir": str(self.work_dir),
            "app": str(APP),
            "python": sys.executable,
            "world_size": self.environment.world_size,
            "device_batch_size": self.device_batch_size,
            "mirror_url": self.environment.mirror_url,
            "wandb_run": self.environment.wandb_run,
            "nanochat_commit": self.environment.nanochat_commit or self.recipe.nanochat_commit,
        }
        values["tag"] = render(self.recipe.tag, values)
        return values | more

    def _model_readme(self, copied: Mapping[str, Artifact]) -> str:
        commit = str(self.values()["nanochat_commit"])
        return model_readme(copied, recipe=self.recipe, commit=commit, fill=self.fill)

    def fill(self, template: str) -> str:
        """Fill a template that names no resume step."""
        return render(template, self.values())

    def command(
        self, stage: Stage, *, resume_step: int | None, env: Mapping[str, str] | None = None
    ) -> StageCommand:
        """Return a stage's command with everything filled in; from the start for no step.

        `env` replaces variables of the container, an empty one takes one away.
        """
        argv, values = list(stage.argv), self.values()
        if resume_step is not None:
            argv += stage.resume_argv
            values["resume_step"] = resume_step
        seen = stage_environment(
            self.process_env, credentials=stage.needs_credentials, bare=stage.runs_model_code
        )
        seen |= env or {}
        seen = {name: text for name, text in seen.items() if text or name not in (env or {})}
        seen |= {name: render(text, values) for name, text in stage.env.items()}
        # The limits are for the GPUs that the recipe is timed for; faster ones get no less.
        longer = self.recipe.times_as_long(
            gpu_type=self.environment.gpu, gpus=self.environment.world_size
        )
        slower = max(longer, 1.0)
        return StageCommand(
            name=stage.name,
            argv=render_argv(argv, values),
            env=seen,
            cwd=render(stage.cwd, values),
            time_limit_s=stage.time_limit_s * slower,
            first_step_limit_s=stage.first_step_limit_s,
            step_limit_s=stage.step_limit_s * slower,
            watches_steps=stage.progress == "nanochat",
            silence_limit_s=stage.silence_limit_s * slower,
        )

    def missing_outputs(self, stage: Stage) -> list[str]:
        """Return a stage's expected outputs that are not on disk."""
        patterns = [self.fill(output) for output in stage.outputs]
        return [one for one in patterns if not any(self.work_dir.glob(one))]

    def fetch(
        self,
        stage: Stage,
        artifacts: Iterable[Artifact],
        *,
        what: str,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> list[Artifact]:
        """Bring a stage's artefacts onto the disk; return those that are not as recorded.

        Raises StoppedError when the attempt is to end, DiskError when the disk takes no more.
        """
        places = (
            (one, local_path(one.key, stage, work_dir=self.work_dir, fill=self.fill))
            for one in artifacts
        )
        wanted = [(one, path) for one, path in places if path is not None]
        return self.persist(
            lambda: fetch(
                self.bucket,
                wanted,
                say=self.run_log.event,
                give_up=lambda: self.ending or abandoned(),
            ),
            what=what,
        )

    def persist(self, call: Callable[[], T], *, what: str) -> T:
        """Call until the bucket answers; raises StoppedError when the attempt is to end."""
        try:
            return retry_until(
                call,
                ended=lambda: self.ending,
                wait=self.stop.wait,
                pauses=doubling(),
                say=lambda error: self.run_log.event(f"{what}: {error}; retrying"),
            )
        except EndedError:
            raise StoppedError from None
