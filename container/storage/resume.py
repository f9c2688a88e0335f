"""What earlier attempts left in the bucket, and getting it back onto the disk.

Only what was read here and matches by size counts; what is fetched must match by hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from container.contract.keys import (
    ATTEMPTS_PREFIX,
    PROBE_PREFIX,
    RUN_KEY,
    STAGES_PREFIX,
    STATUS_KEY,
    LogSegment,
    MarkerKey,
    stage_key,
)
from container.contract.recipe import Recipe, Stage
from container.contract.records import Artifact, Attempt, Record, RecordError, RunRecord, RunStatus
from container.storage.bucket import Bucket, BucketUnavailableError
from container.storage.checkpoints import CheckpointMarker
from container.storage.retry import retry_briefly, retry_stream

R = TypeVar("R", bound=Record)

SAME_POINT_LIMIT = 3
FILES_AT_ONCE = 8


class DiskError(Exception):
    """What is needed from the bucket cannot be written to this machine's disk; says why."""


@dataclass(frozen=True, kw_only=True)
class StageRecord(Record):
    """`stages/<name>.json`: a stage that is done, or the batch size that it had to go down to."""

    stage: str
    done: bool
    attempt: int
    device_batch_size: int = 0
    elapsed_s: float = 0.0
    artifacts: list[Artifact] = field(default_factory=list[Artifact])

    @classmethod
    def _from_members(cls, members: dict[str, Any]) -> Self:
        artifacts = [Artifact(**one) for one in members.get("artifacts", [])]
        return super()._from_members({**members, "artifacts": artifacts})

    @property
    def key(self) -> str:
        return stage_key(self.stage)


@dataclass(frozen=True, kw_only=True)
class Found:
    """The state of the run prefix when this attempt began."""

    attempt: int  # this one's number
    earlier_s: float
    run: RunRecord | None
    stages: dict[str, StageRecord]
    markers: dict[str, list[CheckpointMarker]]  # by stage, newest first, complete by size
    artifacts: list[Artifact]  # all that markers and stage records vouch for
    points: list[str]  # of the earlier attempts, oldest first
    notes: list[str]  # to be logged

    def done(self, stage: str) -> bool:
        """Whether an earlier attempt finished that stage."""
        record = self.stages.get(stage)
        return record is not None and record.done

    def done_before(self, stage: Stage, recipe: Recipe) -> bool:
        """Whether all that a stage is made of was there when this attempt began."""
        earlier = recipe.stages[: recipe.stages.index(stage)]
        return all(self.done(one.name) for one in earlier if one.uploads and not one.optional)

    def point(self, recipe: Recipe) -> str:
        """Return where the run goes on: the first stage that is not done, and its checkpoint.

        A stage that the run can do without leaves no record when it fails, and is no point.
        """
        for stage in recipe.stages:
            if stage.optional:
                continue
            if not self.done(stage.name) and (stage.uploads or stage.progress != "none"):
                markers = self.markers.get(stage.name, [])
                return f"{stage.name}@{markers[0].step if markers else 0}"
        return "flush@0"

    def times_at(self, point: str) -> int:
        """Return how many attempts in a row, up to the last, began at that point."""
        count = 0
        for earlier in reversed(self.points):
            if earlier != point:
                break
            count += 1
        return count


def look(bucket: Bucket) -> Found:
    """Read the run prefix; raises BucketError when it cannot be read."""
    listing = retry_briefly(bucket.list)
    notes: list[str] = []
    attempts = _records(bucket, listing, ATTEMPTS_PREFIX, Attempt, notes)
    stages = {
        one.stage: one for one in _records(bucket, listing, STAGES_PREFIX, StageRecord, notes)
    }
    markers: dict[str, list[CheckpointMarker]] = {}
    for key in listing:
        if key.startswith(PROBE_PREFIX):
            _delete(bucket, key)  # of an attempt that ended while it verified
        if MarkerKey.parse(key) is None:
            continue
        try:
            marker = CheckpointMarker.from_json(_get(bucket, key) or b"")
        except RecordError as error:
            notes.append(f"marker {key} ignored: {error}")
            continue
        bad = [one.key for one in marker.artifacts if listing.get(one.key) != one.size_bytes]
        if bad:
            notes.append(f"checkpoint {key} ignored: {bad[0]} is not there in full")
            _delete(bucket, key)
            continue
        markers.setdefault(marker.stage, []).append(marker)
    for found in markers.values():
        found.sort(key=lambda marker: marker.step, reverse=True)
    kept = {one.key: one for some in markers.values() for m in some for one in m.artifacts}
    for name, record in list(stages.items()):
        bad = [one.key for one in record.artifacts if listing.get(one.key) != one.size_bytes]
        if bad:
            notes.append(f"stage {name} is done again: {bad[0]} is not there in full")
            del stages[name]
        else:
            kept.update({one.key: one for one in record.artifacts})
    status = _one(bucket, STATUS_KEY, RunStatus)
    attempts.sort(key=lambda attempt: attempt.number)
    # A start that ended while it verified has left a log, but no record of itself.
    logged = [segment.attempt for key in listing if (segment := LogSegment.parse(key))]
    return Found(
        attempt=max([*(one.number for one in attempts), *logged], default=0) + 1,
        earlier_s=status.elapsed_s if status else 0.0,
        run=_one(bucket, RUN_KEY, RunRecord),
        stages=stages,
        markers=markers,
        artifacts=list(kept.values()),
        points=[one.point for one in attempts],
        notes=notes,
    )


def differences(earlier: RunRecord, now: RunRecord) -> list[str]:
    """Return what may not differ between attempts on one prefix, but does."""
    pairs = {
        "recipe": (earlier.recipe, now.recipe),
        "nanochat commit": (earlier.nanochat_commit, now.nanochat_commit),
        "world size": (earlier.world_size, now.world_size),
        **{
            f"setting {key}": (earlier.settings.get(key), now.settings.get(key))
            for key in sorted({*earlier.settings, *now.settings})
        },
    }
    return [f"{name} was {old!r}, is {new!r}" for name, (old, new) in pairs.items() if old != new]


def fetch(
    bucket: Bucket,
    wanted: Sequence[tuple[Artifact, Path]],
    *,
    say: Callable[[str], None],
    give_up: Callable[[], bool] = lambda: False,
) -> list[Artifact]:
    """Bring artefacts onto the disk, verified by hash; return those whose content is wrong.

    Files that are there with the right hash stay. Raises BucketError (also when given up: 20 GB
    take longer than a stop leaves) or DiskError.
    """

    def one(item: tuple[Artifact, Path]) -> Artifact | None:
        artifact, path = item
        if _has(path, artifact) or _download(bucket, artifact, path, give_up):
            return None
        say(f"{artifact.key} in the bucket has another content than its record says: ignored")
        return artifact

    with ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="fetch") as pool:
        return [bad for bad in pool.map(one, wanted) if bad is not None]


def local_path(
    key: str, stage: Stage, *, work_dir: Path, fill: Callable[[str], str]
) -> Path | None:
    """Return where a stage's artefact lies on disk, None when no upload of the stage covers it."""
    for upload in stage.uploads:
        key_root, local_root = fill(upload.key).rstrip("/"), fill(upload.local).rstrip("/")
        if key == key_root:
            return work_dir / local_root
        if key.startswith(key_root + "/"):
            return work_dir / local_root / key[len(key_root) + 1 :]
    return None


def _has(path: Path, artifact: Artifact) -> bool:
    try:
        if path.stat().st_size != artifact.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
    except OSError:
        return False


def _download(bucket: Bucket, artifact: Artifact, path: Path, give_up: Callable[[], bool]) -> bool:
    part = path.with_name(path.name + ".download")
    digest, size = hashlib.sha256(), 0

    def open_at(start: int) -> Iterator[bytes]:
        return bucket.stream(artifact.key, start=start)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for chunk in retry_stream(open_at, size_bytes=artifact.size_bytes):
                if give_up():
                    raise BucketUnavailableError(f"{artifact.key}: given up")
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        if digest.hexdigest() != artifact.sha256 or size != artifact.size_bytes:
            return False
        part.replace(path)
        return True
    except OSError as error:
        raise DiskError(f"cannot write {path.name} to the disk: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _records(
    bucket: Bucket, listing: dict[str, int], prefix: str, kind: type[R], notes: list[str]
) -> list[R]:
    found: list[R] = []
    for key in listing:
        if key.startswith(prefix):
            try:
                found.append(kind.from_json(_get(bucket, key) or b""))
            except RecordError as error:
                notes.append(f"{key} ignored: {error}")
    return found


def _one(bucket: Bucket, key: str, kind: type[R]) -> R | None:
    raw = _get(bucket, key)
    try:
        return kind.from_json(raw) if raw is not None else None
    except RecordError:
        return None


def _get(bucket: Bucket, key: str) -> bytes | None:
    return retry_briefly(lambda: bucket.get(key))


def _delete(bucket: Bucket, key: str) -> None:
    retry_briefly(lambda: bucket.delete(key))
