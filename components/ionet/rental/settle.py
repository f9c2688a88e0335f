"""Brings the dollars of the ledger to what the vendor says that it charged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from components.ionet.client import Client
from components.ionet.errors import IonetError
from components.ionet.models import DeploymentRow
from components.ionet.rental import account
from components.ledger.ledger import Ledger, Reading
from components.ledger.page import Entry, Page


def settle(
    client: Client, ledger: Ledger, reading: Reading, *, rows: Sequence[DeploymentRow]
) -> Reading:
    """Return a run's page with what was charged for each rental that the account shows.

    Asked for are those that live, and those of which it was not told yet. An extension that is
    underway is left to whoever asked for it. Raises LedgerError; io.net's are what was known.
    """
    told: dict[str, Entry] = {}
    for entry in reading.page.entries:
        row = _row_of(entry, rows, page=reading.page)
        if row is None or (entry.charged and not entry.is_open):
            continue
        is_over = row.life == "ended"
        if not is_over and (entry.extending_at or entry.state in ("asked", "lost")):
            continue  # whoever asked for it, rents or deletes goes on with it
        usd = charged_usd(client, row.id)
        entry_now = entry if usd is None else with_charge(entry, usd)
        if is_over and (entry.is_open or entry.state == "lost"):
            entry_now = ended(entry, deployment_id=row.id, usd=usd)
        if entry_now != entry:
            told[entry.intent] = entry_now
    if not told:
        return reading

    def write(page: Page, _now: datetime) -> Page:
        unchanged = [one for one in page.entries if one in reading.page.entries]
        for entry in (told[one.intent] for one in unchanged if one.intent in told):
            page = page.put(entry)
        return page

    return ledger.edit(reading.page.owner, write)


def charged_usd(client: Client, deployment_id: str) -> Decimal | None:
    """Return what the vendor says that it charged; None where it does not say."""
    try:
        deployment = account.details(client, deployment_id)
    except IonetError:
        return None
    return deployment.amount_paid_usd if deployment and deployment.amount_paid_usd > 0 else None


def with_charge(entry: Entry, usd: Decimal) -> Entry:
    """Return an entry with what was charged for it."""
    return dataclasses.replace(entry, usd=usd, charged=True)


def ended(entry: Entry, *, deployment_id: str, usd: Decimal | None) -> Entry:
    """Return the entry of a machine that was given back, `usd` what was charged, where told.

    Untold, what was reserved counts as spent.
    """
    over = entry.with_extension_over(bought=entry.extending_to or 0)
    closed = dataclasses.replace(
        over,
        state="given back",
        deployment_id=entry.deployment_id or deployment_id,
        usd=entry.usd if entry.state == "lost" else entry.spent_usd + entry.reserved_usd,
        charged=entry.charged and not entry.reserved_usd,
    )
    return closed if usd is None else with_charge(closed, usd)


def _row_of(entry: Entry, rows: Sequence[DeploymentRow], *, page: Page) -> DeploymentRow | None:
    """Return the row of an entry: by its ID; else by its name, unless another entry has that ID.

    What was noted as lost may have come and ended before anybody saw it live.
    """
    if entry.deployment_id:
        return next((row for row in rows if row.id == entry.deployment_id), None)
    taken = {one.deployment_id for one in page.entries}
    return next((row for row in rows if row.name == entry.name and row.id not in taken), None)
