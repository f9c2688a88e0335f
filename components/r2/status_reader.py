"""What a run said last of itself, in its bucket: for who buys hours for it, never for its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from components.errors import TrainstackError
from components.r2.checkpoint_reader import LIMITS
from components.r2.cloudflare import S3Access
from components.r2.run_objects import RunObjects
from components.r2.verdict_reader import RunPlace, s3_client
from container.contract.clock import moment
from container.contract.keys import STATUS_KEY
from container.contract.records import RecordError, RunStatus


def newest(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> RunStatus | None:
    """Return the run's status; None also where the bucket does not say, soon."""
    for access in accesses:
        try:
            client = s3_client(access(), endpoint=place.endpoint, limits=LIMITS)
            raw = RunObjects(client=client, bucket=place.bucket, prefix=place.prefix).read(
                STATUS_KEY
            )
            return RunStatus.from_json(raw) if raw is not None else None
        except (TrainstackError, RecordError):
            continue
    return None


def age_s(status: RunStatus, *, now: datetime) -> float:
    """Return how old a status is, by the clock of this machine; endless without a time."""
    beat = moment(status.beat_at)
    return float("inf") if beat is None else max((now.astimezone(UTC) - beat).total_seconds(), 0.0)
