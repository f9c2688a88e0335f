"""What a run said last of itself, in its bucket: for who buys hours for it, never for its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from components.r2.cloudflare import S3Access
from components.r2.run_objects import RunObjectsError, first_answer
from components.r2.verdict_reader import RunPlace
from container.contract.clock import moment
from container.contract.keys import STATUS_KEY
from container.contract.records import RecordError, RunStatus


def newest(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> RunStatus | None:
    """Return the run's status; None also where the bucket does not say, soon."""
    try:
        return first_answer(place, accesses, lambda run: run.record(STATUS_KEY, RunStatus))
    except (RunObjectsError, RecordError):
        return None


def age_s(status: RunStatus, *, now: datetime) -> float:
    """Return how old a status is, by the clock of this machine; endless without a time."""
    beat = moment(status.beat_at)
    return float("inf") if beat is None else max((now.astimezone(UTC) - beat).total_seconds(), 0.0)
