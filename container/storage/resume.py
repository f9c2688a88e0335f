"""What earlier attempts left in the bucket; only what was read here and matches by size counts.

Getting it back onto the disk is `download`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self, TypeVar

from container.contract.keys import (
    ATTEMPTS_PREFIX,
    PROBE_PREFIX,
    RUN_KEY,
    STAGES_PREFIX,
    STATUS_KEY,
    LogSegment,
    MarkerKey,
    mended_attempt_of,
    stage_key,
)
from container.contract.recipe import Recipe, Stage
from container.contract.records import Artifact, Attempt, Record, RecordError, RunRecord, RunStatus
from container.storage.bucket import RunBucket
from container.storage.checkpoints import CheckpointMarker
from container.storage.retry import retry_briefly

R = TypeVar("R", bound=Record)

SAME_POINT_LIMIT = 3


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
        return super()._from_members({**members, "artifacts": cls._artifacts(members)})

    @property
    def key(self) -> str:
        return stage_key(self.stage)


@dataclass(frozen=True, kw_only=True)
class PastAttempts:
    """The state of the run prefix when this attempt began; does not change with it."""

    attempt: int  # this one's number
    earlier_s: float
    run: RunRecord | None
    stages: Mapping[str, StageRecord]
    markers: Mapping[str, Sequence[CheckpointMarker]]  # by stage, newest first, complete by size
    artifacts: Sequence[Artifact]  # all that markers and stage records vouch for
    points: Sequence[str]  # of the earlier attempts since a failure was mended, oldest first
    notes: Sequence[str]  # to be logged

    def done(self, stage: str) -> bool:
        """Whether an earlier attempt finished that stage."""
        record = self.stages.get(stage)
        return record is not None and record.done

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


class Reusable:
    """What of the past this attempt may still use: less, with each thing that proves damaged.

    For several threads: stages run in the background too.
    """

    def __init__(self, past: PastAttempts) -> None:
        self._lock = threading.Lock()
        self._records = dict(past.stages)
        self._markers = {stage: tuple(markers) for stage, markers in past.markers.items()}

    def record(self, stage: str) -> StageRecord | None:
        """Return what a stage left, None when nothing of it may be used."""
        with self._lock:
            return self._records.get(stage)

    def done(self, stage: str) -> bool:
        """Whether an earlier attempt finished that stage, and what it left is whole."""
        record = self.record(stage)
        return record is not None and record.done

    def done_before(self, stage: Stage, recipe: Recipe) -> bool:
        """Whether all that a stage is made of is from before this attempt."""
        earlier = recipe.stages[: recipe.stages.index(stage)]
        return all(self.done(one.name) for one in earlier if one.uploads and not one.optional)

    def markers(self, stage: str) -> tuple[CheckpointMarker, ...]:
        """Return the checkpoints of a stage in the bucket, newest first."""
        with self._lock:
            return self._markers.get(stage, ())

    def markers_of(self, keys: Set[str]) -> list[CheckpointMarker]:
        """Return the markers, of any stage, that vouch for one of these artefacts."""
        with self._lock:
            every = [marker for markers in self._markers.values() for marker in markers]
        return [marker for marker in every if keys & {one.key for one in marker.artifacts}]

    def forget_stages(self, stages: Iterable[str]) -> None:
        """These stages are to be done again."""
        with self._lock:
            for stage in stages:
                self._records.pop(stage, None)

    def forget_marker(self, marker: CheckpointMarker) -> None:
        """This checkpoint is damaged, or was made of what is."""
        with self._lock:
            markers = self._markers.get(marker.stage, ())
            self._markers[marker.stage] = tuple(one for one in markers if one != marker)


def look(bucket: RunBucket) -> PastAttempts:
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
    for of_stage in markers.values():
        of_stage.sort(key=lambda marker: marker.step, reverse=True)
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
    mended = max((mended_attempt_of(key) or 0 for key in listing), default=0)
    return PastAttempts(
        attempt=max([*(one.number for one in attempts), *logged], default=0) + 1,
        earlier_s=status.elapsed_s if status else 0.0,
        run=_one(bucket, RUN_KEY, RunRecord),
        stages=MappingProxyType(stages),
        markers=MappingProxyType({stage: tuple(some) for stage, some in markers.items()}),
        artifacts=tuple(kept.values()),
        points=tuple(one.point for one in attempts if one.number > mended and not one.refused),
        notes=tuple(notes),
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


def _records(
    bucket: RunBucket, listing: dict[str, int], prefix: str, kind: type[R], notes: list[str]
) -> list[R]:
    records: list[R] = []
    for key in listing:
        if key.startswith(prefix):
            try:
                records.append(kind.from_json(_get(bucket, key) or b""))
            except RecordError as error:
                notes.append(f"{key} ignored: {error}")
    return records


def _one(bucket: RunBucket, key: str, kind: type[R]) -> R | None:
    raw = _get(bucket, key)
    try:
        return kind.from_json(raw) if raw is not None else None
    except RecordError:
        return None


def _get(bucket: RunBucket, key: str) -> bytes | None:
    return retry_briefly(lambda: bucket.get(key))


def _delete(bucket: RunBucket, key: str) -> None:
    retry_briefly(lambda: bucket.delete(key))
