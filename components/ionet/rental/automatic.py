"""Hours that a run gets though nobody asked for just these: `autoExtend`, within its budget.

What is to be bought is decided against the vendor's hours and the ledger at that moment, so that
`pulumi up`, a watcher and another laptop's watcher together buy once, and never more than allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from components.ionet import cost, credentials, market, more_hours
from components.ionet.client import Client
from components.ionet.errors import IonetError
from components.ionet.more_hours import Told
from components.ionet.rental import bought_time, extend
from components.ionet.rental.extension import Extension
from components.ledger import budget
from components.ledger.budget import KnownRental
from components.ledger.page import Page
from container.contract.records import RunStatus

LATE_S = 300.0  # a run that knows of less than it has by so much has not heard of an extension


@dataclass(frozen=True, kw_only=True)
class More:
    """What is to be done for a run: buy the extension, and tell it; `why_not` is for people."""

    extension: Extension  # to the hours that it needs, as far as they may be bought
    hours: int = 0  # of them to be bought
    is_untold: bool = False  # it does not know of hours that are bought
    why_not: str = ""

    @property
    def is_due(self) -> bool:
        """Whether anything is to be done."""
        return self.hours > 0 or self.is_untold


def told_by(status: RunStatus | None, *, age_s: float) -> Told | None:
    """Return what a run says of its end; None where it says nothing, or was silent for long."""
    if status is None or status.bought_left_s is None or status.outcome is not None:
        return None
    if status.no_verdict or age_s > more_hours.FRESH_S:
        return None
    left_s = status.bought_left_s - age_s
    return Told(in_time=status.in_time, left_s=left_s, needs_s=status.stage_needs_s)


def look(
    client: Client,
    machine: Extension,
    *,
    told: Told,
    page: Page,
    known: Sequence[KnownRental],
    rented_at: datetime | None,
    credentials_expire_on: str,
    now: datetime,
) -> More:
    """Return what is to be done for a run that says so of its end; asks the vendor, buys nothing.

    `machine` has the hours that the state knows as old and new ones, and the most that may be
    bought so. Raises IonetError.
    """
    machine = machine.as_recorded(page)
    deployment = client.deployment(machine.deployment_id)
    bought = extend.bought_hours(deployment, replace(machine, new_hours=machine.old_hours))
    end = bought_time.ends_at(deployment, hours=bought, rented_at=rented_at, now=now)
    left_s = (end - now).total_seconds()
    machine = replace(machine, old_hours=bought, new_hours=bought)
    is_untold = left_s > told.left_s + LATE_S
    needed = more_hours.missing(told, left_s=left_s)
    if not needed:
        return More(extension=machine, is_untold=is_untold)
    hours, why_not = _underway(page, machine), ""
    if not hours:
        hours, why_not = _allowed(client, machine, needed, page=page, known=known)
    if hours:
        why_not = _outlived(
            machine, hours + left_s / 3600, expire_on=credentials_expire_on, now=now
        )
        hours = 0 if why_not else hours
    return More(
        extension=replace(machine, new_hours=bought + hours),
        hours=hours,
        is_untold=is_untold,
        why_not=why_not,
    )


def _underway(page: Page, machine: Extension) -> int:
    """Return the hours of an automatic extension that began and has not come: it was allowed."""
    entry = page.entry_of(machine.deployment_id)
    if entry is None or not entry.extending_automatic:
        return 0
    return max((entry.extending_to or 0) - machine.old_hours, 0)


def _outlived(machine: Extension, hours: float, *, expire_on: str, now: datetime) -> str:
    try:
        credentials.require_lasting_credentials(expire_on, run=machine.run, hours=hours, now=now)
    except IonetError as error:
        return f"{machine.run}: {error}"
    return ""


def _allowed(
    client: Client, machine: Extension, needed: int, *, page: Page, known: Sequence[KnownRental]
) -> tuple[int, str]:
    most, automatic = machine.automatic_most, page.automatic_hours
    hours = more_hours.allowed(needed, most=most, automatic=automatic)
    if not hours:
        return 0, (
            f"{machine.run}: will not end in the bought time, and has {automatic} of the {most} h "
            "that trainstack:autoExtend allows. To buy more: raise it, or trainstack:durationHours"
        )
    usd = market.extension_bill(client, machine.offer, hours=hours).total_usd
    left_usd = budget.of_page(page, cap_usd=machine.cap_usd, known=known).left_usd
    within = more_hours.affordable(hours, cost_usd=usd, left_usd=left_usd)
    if not within:
        one_usd = usd / Decimal(hours)
        return 0, (
            f"{machine.run}: will not end in the bought time, and an hour more costs about "
            f"{cost.dollars(one_usd)} where {cost.dollars(left_usd)} are left of its budget. To "
            "buy it: raise trainstack:maxCostUsd"
        )
    return within, ""
