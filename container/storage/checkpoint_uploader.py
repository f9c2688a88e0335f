"""Takes complete checkpoint steps from disk to the bucket, and clears the disk behind them.

One `CheckpointUploader` a checkpoint folder; it looks when it is told to, from any thread.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from container.contract.keys import MarkerKey
from container.contract.recipe import Upload
from container.contract.records import Artifact, RecordError
from container.storage.bucket import ObjectChangedError, RunBucket
from container.storage.checkpoints import (
    CheckpointMarker,
    LocalStep,
    complete_steps,
    remove_broken,
)
from container.storage.upload_queue import CHECKPOINT, RECORDS, Batch, UploadQueue

SPARE_STEPS = 1.5  # free disk below this many steps: a superseded step goes before it is uploaded


@dataclass(kw_only=True)
class CheckpointUploader:
    """Uploads the steps below `folder` (one sub-folder a tag) to `key`."""

    stage: str
    folder: Path
    key: str
    upload: Upload
    bucket: RunBucket
    upload_queue: UploadQueue
    world_size: int
    attempt: int
    say: Callable[[str], None]
    batches: dict[tuple[str, int], Batch | None] = field(
        default_factory=dict[tuple[str, int], "Batch | None"]
    )  # None: was in the bucket before this attempt
    artifacts: dict[int, list[Artifact]] = field(default_factory=dict[int, list[Artifact]])
    _signatures: dict[tuple[str, int], object] = field(
        default_factory=dict[tuple[str, int], object]
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def know(self, markers: Iterable[CheckpointMarker]) -> None:
        """Take note of steps that are in the bucket."""
        with self._lock:
            for marker in markers:
                self.batches.setdefault((marker.tag, marker.step), None)
                self.artifacts[marker.step] = marker.artifacts

    def look(self, *, nobody_writes: bool = False) -> None:
        """Queue steps that became complete; remove files that are no longer needed.

        While somebody may write, a step counts when two looks in a row saw the same sizes and
        times: call at least a second apart.
        """
        with self._lock:
            for folder in self._tags():
                steps = complete_steps(folder, self.upload, world_size=self.world_size)
                for step in steps:
                    name = (step.tag, step.step)
                    earlier = self.batches.get(name)
                    if earlier is not None and earlier.done.is_set() and earlier.dropped:
                        del self.batches[name]  # it was written to after all: once more
                    if name in self.batches:
                        continue
                    signature = step.signature()
                    if nobody_writes or self._signatures.get(name) == signature:
                        self._queue(step)
                    self._signatures[name] = signature
                self._clear(steps)

    def newest(self, tag: str) -> LocalStep | None:
        """Return the newest complete step on disk, after removing broken files. Nobody writes."""
        with self._lock:
            folder = self.folder / tag
            broken = remove_broken(folder, self.upload, world_size=self.world_size)
            if broken:
                self.say(f"removed incomplete checkpoint files of step {_list(broken)} from disk")
            steps = complete_steps(folder, self.upload, world_size=self.world_size)
            return steps[-1] if steps else None

    def newest_batch(self) -> Batch | None:
        """Return the batch of the newest step, None when it was in the bucket before."""
        with self._lock:
            newest = max(self.batches, key=lambda name: name[1], default=None)
            return self.batches[newest] if newest else None

    def newest_files(self) -> tuple[int, int]:
        """Return how many files of the newest step are in the bucket, and of how many."""
        marker = self.newest_batch()
        parts = marker.after if marker else ()
        return sum(len(one.artifacts) for one in parts), sum(len(one.files) for one in parts)

    def clear(self, tag: str) -> None:
        """Remove all steps of a tag from disk, to be made again. Nobody writes."""
        self.newest(tag)
        with self._lock:
            for step in complete_steps(self.folder / tag, self.upload, world_size=self.world_size):
                self.batches.pop((tag, step.step), None)
                _remove(step)

    def forget(self, marker: CheckpointMarker) -> None:
        """A step turned out to be damaged in the bucket: when it is made again it is uploaded."""
        with self._lock:
            self.batches.pop((marker.tag, marker.step), None)
            self.artifacts.pop(marker.step, None)

    def newest_artifacts(self) -> list[Artifact]:
        """Return the files of the newest step in the bucket; for the stage's record."""
        with self._lock:
            return self.artifacts[max(self.artifacts)] if self.artifacts else []

    def _queue(self, step: LocalStep) -> None:
        files = [(path, f"{self.key}/{step.tag}/{path.name}") for path in step.files]
        name = f"{self.key}/{step.tag} step {step.step}"
        weights = Batch(name=name, files=files[:2], priority=CHECKPOINT)
        optimizer = Batch(name=f"{name} optimizer", files=files[2:], priority=CHECKPOINT)

        def finish(_: list[Artifact]) -> None:
            self._mark(step, [*weights.artifacts, *optimizer.artifacts])

        marker = Batch(name=name, priority=RECORDS, after=[weights, optimizer], finish=finish)
        self.batches[step.tag, step.step] = marker
        for batch in (weights, optimizer, marker):
            self.upload_queue.add(batch)
        self.say(f"checkpoint {step.tag} step {step.step} is complete ({_mib(step.size_bytes())})")

    def _mark(self, step: LocalStep, artifacts: list[Artifact]) -> None:
        key = MarkerKey(folder=f"{self.key}/{step.tag}", step=step.step).key
        marker = CheckpointMarker(
            stage=self.stage,
            tag=step.tag,
            step=step.step,
            world_size=self.world_size,
            attempt=self.attempt,
            artifacts=sorted(artifacts, key=lambda artifact: artifact.key),
        )
        with self._lock:
            self.artifacts[step.step] = marker.artifacts
        try:
            self.bucket.put(key, marker.to_json(), only_if_absent=True)
        except ObjectChangedError:
            if not self._is_same(key, marker):
                self.say(f"{key} was written by another attempt: left as it is")
            return
        self.say(f"checkpoint {step.tag} step {step.step} is in the bucket")

    def _is_same(self, key: str, marker: CheckpointMarker) -> bool:
        try:
            return CheckpointMarker.from_json(self.bucket.get(key) or b"").artifacts == (
                marker.artifacts
            )
        except RecordError:
            return False

    def _clear(self, steps: list[LocalStep]) -> None:
        """Remove steps that are in the bucket and superseded by a newer complete one.

        On a short disk one goes that is not in the bucket, if need be the one that is on its way:
        a checkpoint that cannot be written ends the run.
        """
        waiting: list[LocalStep] = []
        for step in steps[:-1]:
            name = (step.tag, step.step)
            batch = self.batches.get(name)
            if name in self.batches and (batch is None or _arrived(batch)):
                _remove(step)
            elif batch is not None and not batch.dropped:
                waiting.append(step)
        waiting.sort(key=lambda step: _is_on_its_way(self.batches[step.tag, step.step]))
        for step in waiting:
            if not self._short_of_disk(steps):
                return
            self.say(
                f"disk is short: step {step.step} is removed before it was uploaded; "
                f"step {steps[-1].step} supersedes it"
            )
            _remove(step)

    def _short_of_disk(self, steps: list[LocalStep]) -> bool:
        if len(steps) < 2:
            return False
        try:
            return shutil.disk_usage(self.folder).free < SPARE_STEPS * steps[-1].size_bytes()
        except OSError:
            return False

    def _tags(self) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if path.is_dir()]
        except OSError:
            return []


def _arrived(batch: Batch) -> bool:
    return batch.done.is_set() and not batch.dropped


def _is_on_its_way(batch: Batch | None) -> bool:
    return batch is not None and any(part.begun for part in batch.after)


def _remove(step: LocalStep) -> None:
    for path in reversed(step.files):  # the model last: a loader finds steps by it
        # An upload that has the file open would keep its blocks from the disk.
        with suppress(FileNotFoundError):
            os.truncate(path, 0)
        path.unlink(missing_ok=True)


def _list(steps: list[int]) -> str:
    return ", ".join(map(str, steps))


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
