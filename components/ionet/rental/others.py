"""Living machines of the same run that are not this identity's: another backend's, a lost state's.

Told by the parts that the ledger and the machine's own variables give, never by splitting a name:
run `main` of stack `prod-eu` and run `eu-main` of stack `prod` have names that begin alike.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from components.ionet.client import Client
from components.ionet.errors import AnotherMachineError
from components.ionet.models import DeploymentRow
from components.ionet.rental import account
from components.ionet.rental.give_back import AFTER_ITS_HOURS
from components.ledger.ledger import Reading
from components.ledger.page import Entry, Owner
from container.contract.environment import NAMES


@dataclass(frozen=True, kw_only=True)
class Other:
    """A machine of the same run; `is_shown` is False where this account does not know its ID."""

    id: str
    name: str
    is_shown: bool = True


def require_none(
    client: Client,
    rows: Sequence[DeploymentRow],
    reading: Reading,
    *,
    identity: str,
    bucket: str,
    known: Collection[str],
) -> None:
    """Raise AnotherMachineError when another machine of this run lives, or may live.

    `known` are deployments that the stack's own state knows, and is about to replace.
    """
    found = others(client, rows, reading, identity=identity, bucket=bucket, known=known)
    if found:
        raise AnotherMachineError(refusal(reading.page.owner, found[0], account=client.account))


def others(
    client: Client,
    rows: Sequence[DeploymentRow],
    reading: Reading,
    *,
    identity: str,
    bucket: str,
    known: Collection[str] = (),
) -> list[Other]:
    """Return the machines of this run, of other identities, that live or may live.

    The ledger's first, then those that only the vendor shows: an older release rented them, or
    their page was lost.
    """
    owner, by_id = reading.page.owner, dict[str, Other]()
    for entry in reading.page.open_entries():
        if entry.identity != identity and entry.deployment_id not in known:
            found = _of_entry(client, rows, entry, now=reading.now)
            if found and found.id not in known:
                by_id[found.id] = found
    own = f"{owner.stem}{identity}-"
    for row in rows:
        if row.life == "ended" or row.id in by_id or row.id in known:
            continue
        if not row.name.startswith(owner.stem) or (identity and row.name.startswith(own)):
            continue
        if _is_of(client, row, owner, bucket=bucket):
            by_id[row.id] = Other(id=row.id, name=row.name)
    return list(by_id.values())


def refusal(owner: Owner, other: Other, *, account: str) -> str:
    """Return what a user is told, with the one command that mends it."""
    command = _command(owner, other)
    if other.is_shown:
        return (
            f"{owner} has a live machine already, {other.id} ({other.name}), which this state does "
            "not know: the state was lost or rolled back, or another one rented it. Two would "
            f"train one run. Nothing was rented. Give it back: {command}"
        )
    return (
        f"{owner} rented a machine, {other.id} ({other.name}), that {account} does not show: it "
        "may live in another account. Nothing was rented. Use that account's key "
        f"(IOCLOUD_API_KEY); or, if its console shows that it has ended: {command} --forget"
    )


def warning(owner: Owner, other: Other) -> str:
    """Return what is told of one that stays when this state's machine is given back."""
    may = "lives and bills" if other.is_shown else "may live in another account, and bill"
    return (
        f"{owner} has another machine, {other.id} ({other.name}), which this state does not know: "
        f"it {may}. Give it back: {_command(owner, other)}"
    )


def _command(owner: Owner, other: Other) -> str:
    return f"python -m runs reap {other.id} --stack {owner.stack} --yes"


def _of_entry(
    client: Client, rows: Sequence[DeploymentRow], entry: Entry, *, now: datetime
) -> Other | None:
    if not entry.deployment_id:
        named = [row for row in rows if row.name == entry.name and row.life != "ended"]
        return Other(id=named[0].id, name=entry.name) if named else None
    shown = account.look(client, entry.deployment_id, name=entry.name, rows=rows)
    if shown.life == "ended":
        return None
    if shown.life != "unknown":
        return Other(id=shown.deployment_id, name=entry.name)
    if entry.age(now) > timedelta(hours=entry.hours) + AFTER_ITS_HOURS:
        return None
    return Other(id=entry.deployment_id, name=entry.name, is_shown=False)


def _is_of(client: Client, row: DeploymentRow, owner: Owner, *, bucket: str) -> bool:
    deployment = account.details(client, row.id)
    env = deployment.env if deployment else None
    if not env:
        return False  # nothing tells whose it is
    return (
        env.get(NAMES["run"]) == owner.run
        and env.get(NAMES["bucket"]) == bucket
        and env.get(NAMES["prefix"], "").startswith(f"{owner.stack}-{owner.run}-")
    )
