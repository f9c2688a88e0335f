"""Tables and JSON of what is rented and given out: machines, rentals, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from runs import rentals
from runs.machines import Machine
from runs.rentals import Rental
from runs.terminal import formats
from runs.tokens import RunToken
from runs.view.layout import Records


def machines(listed: Sequence[Machine], *, ledger_asked: bool) -> Records:
    """Draw rented machines, three lines each: name, the id that gives it back, whose it is."""
    table = Records("machine", "~status", ">paid", ">hours left", "in state")
    for machine in listed:
        whose = _whose(machine.rental) if machine.rental else "not in the ledger"
        table.add(
            Text.assemble(
                (machine.name, "bold"),
                (f"\n{machine.deployment_id}", "dim"),
                (f"\n{whose}" if ledger_asked else "", "dim"),
            ),
            Text(formats.flat(machine.status)),
            "-" if machine.paid_usd is None else formats.usd(machine.paid_usd),
            _hours(machine.hours_left),
            _known(machine.in_state),
        )
    return table


def machine_json(machine: Machine, *, given_back: bool) -> dict[str, Any]:
    """Return one rented machine as the object that `--json` prints; money as decimal text."""
    fewest, most = machine.hours_left or (None, None)
    rental = machine.rental
    return {
        "deployment_id": machine.deployment_id,
        "name": machine.name,
        "status": machine.status,
        "paid_usd": None if machine.paid_usd is None else str(machine.paid_usd),
        "hours_left_at_least": None if fewest is None else round(fewest, 2),
        "hours_left_at_most": None if most is None else round(most, 2),
        "in_state": machine.in_state,
        "ledger": None if rental is None else _entry_json(rental),
        "given_back": given_back,
    }


def only_in_ledger(listed: Sequence[Rental]) -> Records:
    """Draw rentals whose machine the account does not show, three lines each, as machines are."""
    table = Records("only in the ledger", "~what is known", ">hours", "in state")
    for rental in listed:
        entry = rental.entry
        table.add(
            Text.assemble(
                (entry.name, "bold"), (f"\n{rental.id}", "dim"), (f"\n{_whose(rental)}", "dim")
            ),
            Text(rentals.says(rental), style="yellow" if entry.is_open else ""),
            str(entry.hours),
            _known(rental.in_state),
        )
    return table


def rental_json(rental: Rental, *, closed: bool) -> dict[str, Any]:
    """Return one rental that only the ledger knows as the object that `--json` prints."""
    return {
        "id": rental.id,
        "deployment_id": rental.entry.deployment_id or None,
        "name": rental.entry.name,
        **_entry_json(rental),
        "says": rentals.says(rental),
        "in_state": rental.in_state,
        "closed": closed,
    }


def tokens(listed: Sequence[RunToken]) -> Records:
    """Draw the tokens of runs, two lines each: the name, then the id that revokes it."""
    table = Records("token", ">age", "~may be revoked")
    for token in sorted(listed, key=lambda token: (bool(token.kept_because), token.name)):
        why = token.kept_because
        table.add(
            Text.assemble((token.name, "bold"), (f"\n{token.id}", "dim")),
            "-" if token.age is None else formats.duration(token.age.total_seconds()),
            Text(f"no: {why}" if why else "yes", style="" if why else "yellow"),
        )
    return table


def token_json(token: RunToken, *, revoked: bool) -> dict[str, Any]:
    """Return one token of a run as the object that `--json` prints."""
    return {
        "token_id": token.id,
        "name": token.name,
        "identity": token.identity,
        "issued_on": _written(token.issued_on),
        "age_s": None if token.age is None else round(token.age.total_seconds()),
        "may_be_revoked": not token.kept_because,
        "kept_because": token.kept_because,
        "revoked": revoked,
    }


def _whose(rental: Rental) -> str:
    asked = rental.entry.asked_at.strftime("%m-%d %H:%M")
    given_back = ", given back" if rental.entry.state == "given back" else ""
    return f"{rental.owner}, {asked}{given_back}"


def _entry_json(rental: Rental) -> dict[str, Any]:
    entry = rental.entry
    return {
        "project": rental.owner.project,
        "stack": rental.owner.stack,
        "run": rental.owner.run,
        "identity": entry.identity,
        "state": entry.state,
        "asked_at": _written(entry.asked_at),
        "hours": entry.hours,
        "usd": str(entry.usd),
    }


def _written(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _known(in_state: bool | None) -> Text:
    return Text({True: "yes", False: "no", None: "?"}[in_state], style="" if in_state else "yellow")


def _hours(left: tuple[float, float] | None) -> str:
    if left is None:
        return "-"
    fewest, most = (f"{hours:.1f}" for hours in left)
    return fewest if fewest == most else f"{fewest}-{most}"
