"""What people are told of a run: its newest checkpoint, its verdict; nothing is decided by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from components.r2.cloudflare import S3Access
from components.r2.run_objects import RunObjects, RunObjectsError, first_answer
from components.r2.verdict_reader import RunPlace
from container.contract.keys import CHECKPOINTS_PREFIX, VERDICT_KEY, MarkerKey
from container.contract.records import RecordError, Verdict

NOT_KNOWN = "its newest checkpoint"
FROM_THE_START = "the start, as it has no checkpoint yet"


def newest(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> str:
    """Return in words where the run would go on; `NOT_KNOWN` where the bucket does not say."""
    try:
        found = first_answer(place, accesses, _newest)
    except RunObjectsError:
        return NOT_KNOWN
    return f"step {found.step} of stage {found.stage}" if found else FROM_THE_START


def newest_marker(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> MarkerKey | None:
    """Return the newest checkpoint's marker; None also where the bucket does not say."""
    try:
        return first_answer(place, accesses, _newest)
    except RunObjectsError:
        return None


def ended_with(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> Verdict | None:
    """Return the run's verdict; None also where the bucket does not say, soon."""
    try:
        return first_answer(place, accesses, lambda run: run.record(VERDICT_KEY, Verdict))
    except (RunObjectsError, RecordError):
        return None


def _newest(objects: RunObjects) -> MarkerKey | None:
    times = objects.times(CHECKPOINTS_PREFIX)
    markers = [(at, marker) for key, at in times.items() if (marker := MarkerKey.parse(key))]
    return max(markers, key=lambda one: one[0])[1] if markers else None
