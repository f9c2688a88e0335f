"""Until when a machine is paid, told to its run; what it does near the end is its own matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from components.ionet import cost
from components.ionet.client import Client
from components.ionet.errors import IonetError, NotToldError
from components.ionet.models import Deployment
from components.ionet.rental import account
from components.r2 import bought_time_writer
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import BucketUnreachableError, RunPlace
from container.contract.bought_time import BoughtTime


def tell(
    client: Client,
    deployment_id: str,
    *,
    name: str,
    hours: int,
    rented_at: datetime | None,
    place: RunPlace,
    accesses: Sequence[Callable[[], S3Access]],
) -> None:
    """Tell the run of that machine, whose private name it knows, when its hours end.

    Raises NotToldError; calling again mends it.
    """
    try:
        deployment = account.details(client, deployment_id)
    except IonetError:
        deployment = None  # what was bought is known without it

    def record(now: datetime) -> BoughtTime:
        end = ends_at(deployment, hours=hours, rented_at=rented_at, now=now)
        return BoughtTime(rental=name, hours=hours, ends_at=end.isoformat(timespec="seconds"))

    try:
        bought_time_writer.write(place, accesses, make=record)
    except BucketUnreachableError as error:
        raise NotToldError(str(error)) from None


def ends_at(
    deployment: Deployment | None, *, hours: int, rented_at: datetime | None, now: datetime
) -> datetime:
    """Return when the hours end, by the minutes that the vendor counts where they mean these hours.

    Else, as where an extension does not show yet, by when the machine was asked for: that is too
    early by the minutes of its start, should the vendor count from there, and never too late.
    """
    begun = rented_at
    if deployment is not None:
        served, remaining = deployment.compute_minutes_served, deployment.compute_minutes_remaining
        readings = cost.hours_of(served + remaining, total_gpus=deployment.total_gpus)
        if any(abs(reading - hours) < account.A_FEW_MINUTES for reading in readings):
            left = cost.remaining_hours(
                served_minutes=served, remaining_minutes=remaining, bought_hours=hours
            )
            return now + timedelta(hours=left)
        begun = deployment.created_at or rented_at
    return (begun or now) + timedelta(hours=hours)
