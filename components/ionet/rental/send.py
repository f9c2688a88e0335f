"""From the intent in the ledger to the ID: the POST that rents, and what becomes of it."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from components.ionet import cost, fingerprint, properties
from components.ionet.client import Client
from components.ionet.errors import (
    AnotherMachineError,
    IdentityDeletedError,
    IonetError,
    KeyRefusedError,
    NotRecordedError,
    RequestRefusedError,
    UnclearError,
)
from components.ionet.models import DeployRequest
from components.ionet.offers import Offer
from components.ionet.properties import Rental
from components.ionet.rental import account, settle
from components.ionet.rental.adopt import Rented
from components.ionet.rental.waiting import (
    INTENTS,
    SAY_EVERY_S,
    SEND_WITHIN_S,
    SETTLED_AFTER_S,
    Clock,
    Say,
    minutes,
)
from components.ledger import budget
from components.ledger.budget import KnownRental
from components.ledger.ledger import Edit, Ledger, LedgerError
from components.ledger.page import Entry, Page


def send(
    client: Client,
    wanted: Rental,
    *,
    offer: Offer,
    quote: Callable[[], Offer],
    name: str,
    ledger: Ledger,
    judged: Collection[str],
    known: Sequence[KnownRental],
    before_post: Callable[[], None],
    say: Say,
    clock: Clock,
) -> Rented:
    """Rent under that name and return the machine that the vendor shows under it.

    The intent reserves the dollars, or is not written. `quote` is asked again after it, right
    before the money is spent: what has become dearer is reserved first. `judged` are the intents of
    the page that were looked at: another one is somebody else's, and nothing is rented. `known` are
    the run's machines of the state. Raises TooDearError, NotRecordedError when the intent cannot be
    stored, UnclearError when nothing shows until nothing can come any more.
    """
    intent = _Intent(wanted=wanted, name=name, judged=judged, known=known)
    offer = _store(intent, offer, quote=quote, ledger=ledger, before_post=before_post, clock=clock)
    request = dataclasses.replace(wanted, offer=offer).request(private_name=name)
    sent_at = clock.now()
    said_id = _post(client, wanted, request, intent, ledger=ledger, say=say)
    found = _shown(client, wanted, request, said_id, sent_at=sent_at, say=say, clock=clock)
    if found is None:
        _lose(client, wanted, intent.intent, ledger=ledger)
        raise UnclearError(
            f"io.net gave no clear answer when {name} was to be rented, and showed no live machine "
            f"of that name for {minutes(SETTLED_AFTER_S)}. Run `pulumi up` again: it looks for the "
            "name before it rents."
        )
    rented = _rented(client, wanted, found, offer=offer, name=name)

    def as_rented(page: Page, _now: datetime) -> Page:
        return page.edited(
            lambda e: e.intent == intent.intent and e.is_open,
            state="rented",
            deployment_id=rented.id,
            usd=rented.offer.total_usd,
            charged=rented.charged,
        )

    note(ledger, wanted, rented, as_rented, say=say)
    return rented


def note(ledger: Ledger, wanted: Rental, rented: Rented, edit: Edit, *, say: Say) -> None:
    """Note a machine that is rented; it is in the state in a moment, so a failure is only said."""
    try:
        ledger.edit(wanted.owner, edit)
    except LedgerError as error:
        say(f"{wanted.run}: {error} Deployment {rented.id} is in the state, not in the ledger")


def require_not_deleted(page: Page, wanted: Rental) -> None:
    """Raise IdentityDeletedError when a `pulumi destroy` deletes the identity, or has begun to."""
    if wanted.identity in page.closing:
        raise IdentityDeletedError(
            f"run {wanted.run} is being deleted by a `pulumi destroy`, or one was interrupted. "
            "Nothing was rented. Finish it, then start anew: pulumi destroy"
        )


def entry_of(wanted: Rental, rented: Rented, *, asked_at: datetime) -> Entry:
    """Return the entry of a machine that is rented already."""
    return Entry(
        intent=secrets.token_hex(8),
        identity=wanted.identity,
        name=rented.name,
        hours=rented.hours,
        usd=rented.offer.total_usd,
        charged=rented.charged,
        planned_hours=wanted.wish.hours if wanted.first_hours else 0,
        rest_usd=rented.offer.rest_usd,
        asked_at=asked_at,
        state="rented",
        deployment_id=rented.id,
        token_id=rented.token_id,
        renew=wanted.renew,
    )


def entry_of_state(deployment_id: str, state: Mapping[str, Any], *, now: datetime) -> Entry:
    """Return the entry of a machine that only the stack's state tells of."""
    offer = properties.offer(state)
    return Entry(
        intent=secrets.token_hex(8),
        identity=state["identity"],
        name=state["privateName"],
        hours=int(state["durationHours"]),
        usd=offer.total_usd if offer else Decimal(0),
        asked_at=properties.rented_at(state) or now,
        state="rented",
        deployment_id=deployment_id,
    )


def not_recorded(error: LedgerError, wanted: Rental) -> NotRecordedError:
    """Return why nothing was rented; the ledger is written with the run's own access."""
    return NotRecordedError(
        f"{error} Nothing was rented, as a machine that is not recorded could be lost. Check the "
        "network and run `pulumi up` again. If the run's token was deleted at Cloudflare, raise "
        f"trainstack:renew: pulumi config set trainstack:renew {wanted.renew + 1}"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Intent:
    """What is written before the vendor is asked; again, with a fresh time, until it is in time."""

    wanted: Rental
    name: str
    judged: Collection[str]
    known: Sequence[KnownRental]
    intent: str = dataclasses.field(default_factory=lambda: secrets.token_hex(8))

    def reserving(self, offer: Offer) -> Edit:
        """Return the edit that writes it, with the dollars of an offer, if the budget has them."""

        def add(page: Page, now: datetime) -> Page:
            wanted = self.wanted
            require_not_deleted(page, wanted)
            strange = [
                e for e in page.open_entries() if e.intent not in {self.intent, *self.judged}
            ]
            if strange:
                raise AnotherMachineError(
                    f"another `pulumi up` rents a machine for run {wanted.run} at this moment "
                    f"({strange[0].name}). Nothing was rented by this one. When the other one is "
                    "done: pulumi up"
                )
            others = budget.of_page(
                page.without(self.intent), cap_usd=wanted.max_cost_usd, known=self.known
            )
            cost.require_within_cap(
                offer.total_usd + offer.rest_usd,
                cap_usd=others.cap_usd,
                what=f"{offer} x {wanted.wish.hours} h",
                hours=wanted.wish.hours,
                spent_usd=others.used_usd,
            )
            return page.put(self._entry(offer, now))

        return add

    def _entry(self, offer: Offer, now: datetime) -> Entry:
        return Entry(
            intent=self.intent,
            identity=self.wanted.identity,
            name=self.name,
            hours=self.wanted.bought_hours,
            usd=offer.total_usd,
            planned_hours=self.wanted.wish.hours if self.wanted.first_hours else 0,
            rest_usd=offer.rest_usd,
            asked_at=now,
            token_id=self.wanted.access.access_key_id,
            renew=self.wanted.renew,
        )


def _store(
    intent: _Intent,
    offer: Offer,
    *,
    quote: Callable[[], Offer],
    ledger: Ledger,
    before_post: Callable[[], None],
    clock: Clock,
) -> Offer:
    """Store the intent, and return within seconds of it, with nothing that speaks against it.

    Returns the offer at its price of this moment, for which the dollars are reserved.
    """
    wanted = intent.wanted
    for _ in range(INTENTS):
        started, reserved_usd = clock.wall(), offer.total_usd
        try:
            ledger.edit(wanted.owner, intent.reserving(offer))
            before_post()
            require_not_deleted(ledger.read(wanted.owner).page, wanted)
            offer = quote()
        except LedgerError as error:
            _forget(ledger, wanted, intent.intent)
            raise not_recorded(error, wanted) from None
        except IonetError:
            _forget(ledger, wanted, intent.intent)
            raise
        in_time = 0 <= clock.wall() - started <= SEND_WITHIN_S
        if in_time and offer.total_usd <= reserved_usd:
            return offer
    _forget(ledger, wanted, intent.intent)
    raise UnclearError(
        f"this machine was asleep or too busy to rent within {SEND_WITHIN_S:.0f} s of its intent, "
        "or the price rose each time. Nothing was rented. Run `pulumi up` again."
    )


def _post(
    client: Client,
    wanted: Rental,
    request: DeployRequest,
    intent: _Intent,
    *,
    ledger: Ledger,
    say: Say,
) -> str | None:
    """Send the request once; return the ID that the answer told, None when it is not clear.

    A clear no withdraws the intent, unless the name turns out to be taken by a machine of ours.
    """
    try:
        return client.deploy(request)
    except KeyRefusedError:
        _forget(ledger, wanted, intent.intent)
        raise
    except UnclearError:
        say(
            f"{wanted.run}: no clear answer to the rental; looking for {request.private_name} for "
            f"{minutes(SETTLED_AFTER_S)} at most"
        )
        return None
    except RequestRefusedError:
        # The name may be taken by the rental of a process that a killed engine left behind.
        for row in client.deployments():
            if row.name == request.private_name and row.life == "alive":
                return row.id
        _forget(ledger, wanted, intent.intent)
        raise


def _shown(
    client: Client,
    wanted: Rental,
    request: DeployRequest,
    said_id: str | None,
    *,
    sent_at: float,
    say: Say,
    clock: Clock,
) -> str | None:
    """Return the ID under which the vendor shows a living deployment of ours; None if never."""
    said_at = sent_at
    for _ in clock.pauses():
        try:
            for row in client.deployments():
                if row.name == request.private_name and row.life == "alive":
                    return row.id
            if said_id and _bears_ours(client, said_id, request):
                return said_id
        except UnclearError:
            pass  # asked again: the machine may be there
        if clock.now() - sent_at > SETTLED_AFTER_S:
            return None
        if clock.now() - said_at >= SAY_EVERY_S:
            said_at = clock.now()
            left_s = SETTLED_AFTER_S - (said_at - sent_at)
            say(f"{wanted.run}: io.net does not show it yet; {minutes(left_s)} at most")
    raise AssertionError("pauses never end")


def _bears_ours(client: Client, deployment_id: str, request: DeployRequest) -> bool:
    """Tell whether an ID is of a living deployment that was started with this very request."""
    deployment = account.details(client, deployment_id)
    if deployment is None or deployment.life != "alive" or deployment.env is None:
        return False
    told = deployment.env.get(fingerprint.VARIABLE)
    return bool(told) and told == request.env.get(fingerprint.VARIABLE)


def _rented(client: Client, wanted: Rental, found: str, *, offer: Offer, name: str) -> Rented:
    try:
        deployment = account.details(client, found)
    except IonetError:
        deployment = None  # the ID is what counts; the rest is known as it was asked for
    charged = bool(deployment and deployment.amount_paid_usd > 0)
    if deployment and charged:
        offer = dataclasses.replace(offer, total_usd=deployment.amount_paid_usd)
    return Rented(
        id=found,
        name=name,
        offer=offer,
        charged=charged,
        hours=wanted.bought_hours,
        rented_at=deployment.created_at if deployment else None,
        image=wanted.image,
        env=wanted.env,
        token_id=wanted.access.access_key_id,
    )


def _lose(client: Client, wanted: Rental, intent: str, *, ledger: Ledger) -> None:
    """Note that nothing lives because of an intent, and what it cost, should it have ended at once.

    A failure leaves it to the next rental, which settles first.
    """
    _forget(ledger, wanted, intent, lost=True)
    with suppress(LedgerError, IonetError):
        reading = ledger.read(wanted.owner)
        settle.settle(client, ledger, reading, rows=client.deployments())


def _forget(ledger: Ledger, wanted: Rental, intent: str, *, lost: bool = False) -> None:
    """Take an intent back, of which surely nothing comes; one that stays is only waited for."""

    def take_back(page: Page, _now: datetime) -> Page:
        if lost:
            return page.edited(lambda e: e.intent == intent, state="lost")
        return page.without(intent)

    try:
        ledger.edit(wanted.owner, take_back)
    except LedgerError:
        return
