"""Whether a stage reports to W&B at once or into files; a nicety that must never end training.

The files of an offline run go to the bucket with the run; `wandb sync` sends them later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from container.contract.environment import NO_WANDB_RUN, RunEnvironment
from container.stages.stage_process import StageEnd
from container.storage.upload_queue import LOGS, Batch, UploadQueue
from container.transport.wandb_login import Answer, ask

FOLDER: Final = "wandb"  # below WANDB_DIR as the library makes it, and as the key's prefix
TRIES: Final = 2
# A frame of the library in a traceback or a stack dump, one of its own errors, and what it raises
# as somebody else's: wandb/sdk/wandb_login.py, wandb/errors/errors.py.
_OF_WANDB: Final = re.compile(
    r'^\s*(?:\[rank\d+\]:\s*)?(?:File "[^"]*/wandb/[^"]*", line \d+'
    r"|wandb\.[\w.]*(?:Error|Exception|Timeout)\b"
    r"|\w*Error: (?:API key must|api_key not configured))"
)


def says_wandb_failed(line: str) -> bool:
    """Whether a line is of an error that went through W&B's library."""
    return _OF_WANDB.search(line) is not None


class WandbMode:
    """One stage's way to W&B."""

    def __init__(
        self,
        environment: RunEnvironment,
        *,
        process_env: Mapping[str, str],
        say: Callable[[str], None],
        ask: Callable[..., Answer] = ask,
    ) -> None:
        self._key = environment.wandb_api_key.strip()
        self._used = environment.wandb_run != NO_WANDB_RUN
        self._work_dir = environment.work_dir
        self._process_env = process_env
        self._say = say
        self._ask = ask
        self._blamed = False
        self.offline = False

    def begin(self) -> None:
        """Try to log in, once for the stage; what W&B does not answer to goes into files."""
        if not self._used:
            return
        answer = Answer("refused", "there is no key")
        for _ in range(TRIES if self._key else 0):
            answer = self._ask(self._key, env=self._process_env)
            if answer.outcome != "unknown":
                break
        if answer.outcome != "allowed":
            self._go_offline(answer.why)

    def environment(self) -> dict[str, str]:
        """Return the variables for the stage's process; an empty one takes what is there away."""
        if not self._used:
            return {}
        common = {"WANDB_DIR": str(self._work_dir)}
        # The library looks at the key, and ends the program for an odd one, offline too.
        if self.offline:
            return common | {"WANDB_MODE": "offline", "WANDB_API_KEY": ""}
        return common | {"WANDB_API_KEY": self._key}

    def take(self, line: str) -> None:
        """Look at a line of the stage."""
        self._blamed = self._blamed or says_wandb_failed(line)

    def is_to_blame(self, end: StageEnd) -> bool:
        """Whether W&B ended the stage; if so the next start is offline. True once a stage."""
        blamed, self._blamed = self._blamed, False
        if not blamed or self.offline or not self._used:
            return False
        if end.end not in ("failed", "stalled"):
            return False
        self._go_offline(f"its library ended the stage: {end.reason}")
        # Each thread of the library stands in the stacks of a stall: that one counts as any other.
        return end.end == "failed"

    def send_files(self, upload_queue: UploadQueue) -> None:
        """Queue what offline runs have left here."""
        if not self._used:
            return
        try:
            files = self._files()
        except OSError as error:  # a disk that went away: the nicety's files are lost, not the run
            self._say(f"W&B's files cannot be read: {error.strerror}")
            return
        if files:
            upload_queue.add(Batch(name="W&B's offline files", files=files, priority=LOGS))

    def _files(self) -> list[tuple[Path, str]]:
        return [
            (path, path.relative_to(self._work_dir).as_posix())
            for folder in sorted((self._work_dir / FOLDER).glob("offline-run-*"))
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.is_symlink()
        ]

    def _go_offline(self, why: str) -> None:
        self.offline = True
        self._say(
            f"W&B is not used online: {why}. Its files go to {FOLDER}/ in the bucket; `wandb sync` "
            "of each offline-run folder sends them later"
        )
