"""What a run's container left in the bucket last: its attempt's number, and whether it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.r2.cloudflare import S3Access
from components.r2.run_objects import RunObjects, RunObjectsError, first_answer
from components.r2.verdict_reader import BucketUnreachableError, RunPlace
from container.contract.keys import STATUS_KEY, VERDICT_KEY
from container.contract.records import RecordError, RunStatus, Verdict


@dataclass(frozen=True, kw_only=True)
class LifeSign:
    """The newest attempt that has beaten, 0 before the first; `ended` it has by a verdict."""

    attempt: int = 0
    ended: bool = False


def newest(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> LifeSign:
    """Return what the bucket has of a run, through the first access that is taken.

    A run that was only stopped has not ended. Raises BucketUnreachableError.
    """
    try:
        return first_answer(place, accesses, _of)
    except (RunObjectsError, RecordError) as error:
        raise BucketUnreachableError(
            f"{place.bucket}/{place.prefix} cannot be read ({error}), so it is not known whether "
            "its container trains. Check CLOUDFLARE_API_TOKEN and the network, then run "
            "`pulumi up` again."
        ) from None


def _of(objects: RunObjects) -> LifeSign:
    status, verdict = objects.record(STATUS_KEY, RunStatus), objects.record(VERDICT_KEY, Verdict)
    attempt = status.attempt if status is not None else 0
    ended = verdict is not None and verdict.outcome != "stopped"
    return LifeSign(attempt=max(attempt, verdict.attempt if ended and verdict else 0), ended=ended)
