"""All that is rented and given out in this project's name: machines, rentals, tokens of runs.

Asks the stack's state, io.net, the bucket and Cloudflare. Without the first or io.net there is no
answer; what else cannot be asked is said, and the rest is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from components.config.endpoints import CLOUDFLARE_TOKEN
from components.ionet.client import Client
from components.ionet.models import DeploymentRow
from runs import machines, rentals, tokens
from runs.errors import RunsError, SettingMissingError
from runs.machines import Machine
from runs.rentals import LedgerPages, Rental
from runs.source.source import Source
from runs.tokens import Evidence, RunToken

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What was found, and why the rest was not asked for."""

    now: datetime  # the bucket's time, this machine's where the bucket was not asked
    known: frozenset[str] | None  # by the stack's state; None when there is none
    machines: Sequence[Machine] = ()
    rentals: Sequence[Rental] | None = ()  # all of the ledger; None when it was not asked
    tokens: Sequence[RunToken] | None = ()  # None when Cloudflare was not asked
    ended: Collection[str] = ()  # IDs of deployments of this project that the account shows ended
    not_asked: Sequence[str] = ()

    @property
    def only_in_ledger(self) -> list[Rental]:
        """What the ledger knows and the account does not show."""
        return rentals.only_in_ledger(self.rentals or (), now=self.now)


def take(source: Source, client: Client, *, with_tokens: bool = True) -> Inventory:
    """Ask everybody, one after the other; Cloudflare only when its tokens are wanted."""
    not_asked: list[str] = []
    known = machines.known_ids(source)
    rows = machines.listed(client)
    pages = _asked("the ledger", lambda: rentals.read(source.bucket), not_asked)
    not_asked += [f"a page of the ledger: {why}" for why in (pages.unreadable if pages else ())]
    of_ledger, alive = _held_against(client, rows, pages.rentals if pages else (), known=known)
    listed = machines.machines(client, alive, known=known, of_ledger=of_ledger)
    now = pages.now if pages else datetime.now(UTC)
    names = {row.name for row in (*rows, *alive) if row.life != "ended"}
    evidence = Evidence(now=now, bucket="", names=names, rentals=of_ledger, beats={}, known=known)
    held = None
    if with_tokens:
        held = _asked(
            "the tokens of runs", lambda: _tokens(source, evidence, pages, not_asked), not_asked
        )
    return Inventory(
        now=now,
        known=known,
        machines=listed,
        rentals=of_ledger if pages else None,
        tokens=held,
        ended={row.id for row in rows if row.life == "ended" and machines.is_ours(row)},
        not_asked=not_asked,
    )


def _held_against(
    client: Client,
    rows: Sequence[DeploymentRow],
    listed: Sequence[Rental],
    *,
    known: frozenset[str] | None,
) -> tuple[list[Rental], list[DeploymentRow]]:
    """Return the ledger's entries with what the account shows, and this project's live rows."""
    ids = {rental.entry.deployment_id for rental in listed}
    alive = [
        row for row in rows if row.life != "ended" and (machines.is_ours(row) or row.id in ids)
    ]
    found: list[Rental] = []
    for one in listed:
        in_state = None if known is None else one.id in known
        rental = rentals.as_listed(rentals.with_state(one, in_state=in_state), rows)
        rental, row = machines.looked_up(client, rental)
        if row is not None and row.id not in {other.id for other in alive}:
            alive.append(row)
        found.append(rental)
    return found, alive


def _tokens(
    source: Source, evidence: Evidence, pages: LedgerPages | None, not_asked: list[str]
) -> list[RunToken]:
    if not source.cloudflare_token:
        raise SettingMissingError(
            f"CLOUDFLARE_API_TOKEN is not set, nor is {CLOUDFLARE_TOKEN} in a stack's config.\n"
            "Set it, or name the stack (--stack)."
        )
    _ = source.account  # raises when there is none: only an account's tokens can be listed
    client, operator_id = source.cloudflare_client(), source.token_id()
    listed = tokens.of_runs(client, operator_id=operator_id)
    if pages is not None and listed:
        identities = {tokens.identity_of(token) for token in listed}
        beats = _asked(
            "the beats of runs",
            lambda: tokens.beats(source.bucket, identities, now=pages.now),
            not_asked,
        )
        if beats is not None:
            evidence = evidence.with_beats(
                beats, bucket="" if pages.unreadable else source.bucket_name
            )
    return [tokens.judged(token, evidence) for token in listed]


def _asked(what: str, ask: Callable[[], Found], not_asked: list[str]) -> Found | None:
    """Return the answer; None, and a line of what was not asked and how it can be, without one."""
    try:
        return ask()
    except RunsError as error:
        said = ". ".join(line.rstrip(".") for line in str(error).splitlines())
        not_asked.append(f"{what}: {said}")
        return None
