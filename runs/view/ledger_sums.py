"""What the ledger of rentals adds up to, run by run, of all time or of one month; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from components.ledger.page import Entry, Owner, Page
from runs.terminal.formats import usd
from runs.view.layout import Records


@dataclass(frozen=True, kw_only=True)
class LedgerSum:
    """The rentals of one run; a rental is of the month in which it was asked for."""

    owner: Owner
    rentals: Sequence[Entry]

    @property
    def hours(self) -> int:
        """What was bought, as recorded."""
        return sum(one.hours for one in self.rentals if one.state != "asked")

    @property
    def spent_usd(self) -> Decimal:
        """What was charged, or bought where io.net did not say what it charged."""
        return sum((one.spent_usd for one in self.rentals), Decimal(0))

    @property
    def reserved_usd(self) -> Decimal:
        """What was asked for and not answered clearly, or is bought once a machine is checked."""
        return sum((one.reserved_usd + one.awaited_usd for one in self.rentals), Decimal(0))


def sums(
    pages: Sequence[Page], *, stack: str = "", run: str = "", month: str = ""
) -> list[LedgerSum]:
    """Return the runs that rented anything, as far as they are asked for; "" asks for all."""
    found: list[LedgerSum] = []
    for page in pages:
        if stack not in ("", page.owner.stack) or run not in ("", page.owner.run):
            continue
        rentals = [
            one
            for one in page.entries
            if one.state != "lost" and month in ("", f"{one.asked_at:%Y-%m}")
        ]
        if rentals:
            found.append(LedgerSum(owner=page.owner, rentals=rentals))
    return sorted(found, key=lambda one: (one.owner.stack, one.owner.run))


def table(found: Sequence[LedgerSum]) -> Records:
    """Draw the sums, a line a run, and all of them in the last one."""
    drawn = Records("run", ">rentals", ">hours", ">spent", ">reserved")
    for one in found:
        name = f"{one.owner.stack} {one.owner.run}"
        figures = (usd(one.spent_usd), usd(one.reserved_usd))
        drawn.add(name, str(len(one.rentals)), str(one.hours), *figures)
    drawn.add(
        "total",
        str(sum(len(one.rentals) for one in found)),
        str(sum(one.hours for one in found)),
        usd(sum((one.spent_usd for one in found), Decimal(0))),
        usd(sum((one.reserved_usd for one in found), Decimal(0))),
        style="bold",
    )
    return drawn


def as_json(found: Sequence[LedgerSum]) -> dict[str, Any]:
    """Return the object that `--json` prints; money as decimal text, never rounded."""
    return {
        "spent_usd": str(sum((one.spent_usd for one in found), Decimal(0))),
        "reserved_usd": str(sum((one.reserved_usd for one in found), Decimal(0))),
        "runs": [
            {
                "project": one.owner.project,
                "stack": one.owner.stack,
                "run": one.owner.run,
                "spent_usd": str(one.spent_usd),
                "reserved_usd": str(one.reserved_usd),
                "rentals": [_rental(entry) for entry in one.rentals],
            }
            for one in found
        ],
    }


def _rental(entry: Entry) -> dict[str, Any]:
    return {
        "deployment_id": entry.deployment_id,
        "name": entry.name,
        "state": entry.state,
        "asked_at": f"{entry.asked_at:%Y-%m-%dT%H:%M:%SZ}",
        "hours": entry.hours,
        "spent_usd": str(entry.spent_usd),
        "reserved_usd": str(entry.reserved_usd + entry.awaited_usd),
        "charged": entry.charged,
        "planned_hours": entry.planned_hours or None,
        "refused": entry.refused or None,
    }
