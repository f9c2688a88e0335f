"""What a run's container left in the bucket last: its attempt's number, and whether it ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.errors import TrainstackError
from components.r2.checkpoint_reader import LIMITS
from components.r2.cloudflare import S3Access
from components.r2.run_objects import RunObjects
from components.r2.verdict_reader import BucketUnreachableError, RunPlace, s3_client
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
    reason = "there is no key for it"
    for access in accesses:
        try:
            client = s3_client(access(), endpoint=place.endpoint, limits=LIMITS)
            return _of(RunObjects(client=client, bucket=place.bucket, prefix=place.prefix))
        except TrainstackError as error:
            reason = str(error)  # perhaps the next one can
    raise BucketUnreachableError(
        f"{place.bucket}/{place.prefix} cannot be read ({reason}), so it is not known whether its "
        "container trains. Check CLOUDFLARE_API_TOKEN and the network, then run `pulumi up` again."
    )


def _of(objects: RunObjects) -> LifeSign:
    try:
        raw = objects.read(STATUS_KEY)
        attempt = RunStatus.from_json(raw).attempt if raw is not None else 0
        raw = objects.read(VERDICT_KEY)
        verdict = Verdict.from_json(raw) if raw is not None else None
    except RecordError as error:
        raise BucketUnreachableError(f"a record of it cannot be read: {error}") from None
    ended = verdict is not None and verdict.outcome != "stopped"
    return LifeSign(attempt=max(attempt, verdict.attempt if ended and verdict else 0), ended=ended)
