"""What `reap` does about each ID that is named: pure, all of it decided before anything is done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from components.ionet.rental.waiting import minutes, unsettled_s
from container.contract.nearest import hint
from container.contract.records import Outcome, Verdict
from runs.errors import RunsError, SettingMissingError
from runs.inventory import Inventory
from runs.machines import Machine
from runs.rentals import Rental
from runs.tokens import RunToken

One = TypeVar("One")

_TOKEN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is to be done, and what is so already."""

    give_back: list[Machine] = field(default_factory=list[Machine])
    note: list[Rental] = field(default_factory=list[Rental])  # ended; the ledger has it open
    forget: list[Rental] = field(default_factory=list[Rental])
    revoke: list[RunToken] = field(default_factory=list[RunToken])
    so_already: list[str] = field(default_factory=list[str])  # in words: nothing to do

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.give_back or self.note or self.forget or self.revoke)


def choose(wanted: Sequence[str], inventory: Inventory, *, force: bool, forget: bool) -> Choice:
    """Return what is done about these IDs; raises before anything is.

    SettingMissingError for an ID that nothing names, RunsError for what must not be done.
    """
    choice, refused, strange = Choice(), list[str](), list[str]()
    for one in wanted:
        machine = _machine(one, inventory)
        entries = [rental for rental in inventory.rentals or () if rental.id == one]
        is_open = [rental for rental in entries if rental.entry.is_open]
        token = next((token for token in inventory.tokens or () if token.id == one), None)
        if machine is not None:
            why = _why_not_given_back(machine, force=force)
            _either(why, refused, machine, choice.give_back)
        elif is_open:
            for rental in is_open:
                ended = rental.shown == "ended"
                why = "" if ended else _why_not_forgotten(rental, inventory.now, force, forget)
                _either(why, refused, rental, choice.note if ended else choice.forget)
        elif entries or one in inventory.ended:
            choice.so_already.append(_so_already(one, entries, has_ended=one in inventory.ended))
        elif token is not None:
            why = token.kept_because and f"{one} ({token.name}) stays: {token.kept_because}."
            _either(why, refused, token, choice.revoke)
        elif inventory.tokens is not None and _TOKEN_ID.fullmatch(one):
            choice.so_already.append(f"{one}: no run's token has this ID, or none any more.")
        else:
            strange.append(one)
    if strange:
        there = [
            *(machine.deployment_id for machine in inventory.machines),
            *(rental.id for rental in inventory.rentals or ()),
            *(token.id for token in inventory.tokens or ()),
        ]
        raise SettingMissingError(
            f"io.net lists no live machine of this project with the id {', '.join(strange)}, and "
            f"nothing else that was asked names it; nothing was changed"
            f"{hint(strange[0], there)}.\n"
            "`python -m runs reap` lists what there is."
        )
    if refused:
        raise RunsError("\n".join([*refused, "Nothing was changed."]))
    return choice


@dataclass(frozen=True, kw_only=True)
class OfEndedRuns:
    """The machines of runs that have ended, and why others are left."""

    give_back: list[Machine] = field(default_factory=list[Machine])
    left: list[str] = field(default_factory=list[str])  # in words; what trains is not among them


def of_ended_runs(
    machines: Sequence[Machine], verdicts: Mapping[str, Verdict | None], *, failed: bool
) -> OfEndedRuns:
    """Return the machines whose run succeeded and is not kept alive; of failed ones if `failed`.

    `verdicts` are by prefix; a machine whose prefix is not among them is left.
    """
    done = OfEndedRuns()
    for machine in machines:
        verdict = verdicts.get(machine.prefix)
        if machine.prefix not in verdicts:
            done.left.append(f"{machine.deployment_id}: which run it trains is not known")
        elif verdict is not None:
            why = _why_left(machine, verdict.outcome, failed=failed)
            _either(
                f"{machine.deployment_id}: {why}" if why else "", done.left, machine, done.give_back
            )
    return done


def _why_left(machine: Machine, outcome: Outcome, *, failed: bool) -> str:
    if outcome == "failed":
        return "" if failed else "its run failed; its hours could mend that, else say --failed"
    if outcome == "stopped":
        return "its run was stopped, and may go on there"
    if machine.kept_alive is None:
        return "its run succeeded; whether it is kept alive is not told"
    return (
        "its run succeeded, and it is kept alive to serve the model" if machine.kept_alive else ""
    )


def _either(why_not: str, refused: list[str], one: One, chosen: list[One]) -> None:
    if why_not:
        refused.append(why_not)
    elif one not in chosen:
        chosen.append(one)


def _machine(one: str, inventory: Inventory) -> Machine | None:
    """Return the machine of that ID, or whose entry in the ledger goes by it."""
    for machine in inventory.machines:
        if machine.deployment_id == one:
            return machine
    names = {
        rental.entry.name
        for rental in inventory.rentals or ()
        if rental.id == one and rental.shown in ("alive", "ending")
    }
    return next((machine for machine in inventory.machines if machine.name in names), None)


def _why_not_given_back(machine: Machine, *, force: bool) -> str:
    if machine.in_state and not force:
        return (
            f"the stack's state knows {machine.deployment_id}: `pulumi destroy` gives it back and "
            "forgets it; or say --force."
        )
    return ""


def _why_not_forgotten(rental: Rental, now: datetime, force: bool, forget: bool) -> str:
    entry = rental.entry
    left_s = unsettled_s(entry, now)
    if left_s > 0:
        return (
            f"{rental.id} ({entry.name}) was asked for a moment ago: a machine may come of it for "
            f"{minutes(left_s)} more. Look again then."
        )
    if rental.in_state and not force:
        return (
            f"the stack's state knows {rental.id}: `pulumi destroy` says how it is forgotten; or "
            "say --force."
        )
    if not forget:
        return (
            f"{rental.id} ({entry.name}), which {rental.owner} rented, is unknown to the io.net "
            "account of this key: it may live and bill in another. Set IOCLOUD_API_KEY to that "
            "account's key; or, if its console shows that it has ended, say --forget."
        )
    return ""


def _so_already(one: str, entries: Sequence[Rental], *, has_ended: bool) -> str:
    ended = f"{one} has ended" if has_ended else one
    if not entries:
        return f"{ended}."
    closed = f"is closed in the ledger as {entries[-1].entry.state} already."
    return f"{ended}, and {closed}" if has_ended else f"{one} {closed}"
