"""From the intent in the ledger to the ID: the POST that rents, and what becomes of it."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime

from components.ionet import fingerprint
from components.ionet.client import Client
from components.ionet.errors import (
    IonetError,
    KeyRefusedError,
    RequestRefusedError,
    UnclearError,
)
from components.ionet.models import DeployRequest
from components.ionet.offers import Offer
from components.ionet.properties import Rental
from components.ionet.rental import account, settle
from components.ionet.rental.adopt import Rented
from components.ionet.rental.intent import Intent, require_not_deleted
from components.ionet.rental.reserve import reserve
from components.ionet.rental.waiting import (
    SAY_EVERY_S,
    SETTLED_AFTER_S,
    Clock,
    Say,
    minutes,
)
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
    intent = Intent(wanted=wanted, name=name, judged=judged, known=known)

    def quoted_again() -> Offer:
        before_post()
        require_not_deleted(ledger.read(wanted.owner).page, wanted)
        return quote()

    offer = reserve(intent, offer, quote=quoted_again, ledger=ledger, clock=clock)
    request = dataclasses.replace(wanted, offer=offer).request(private_name=name)
    sent_at = clock.now()
    said_id = _post(client, wanted, request, intent, ledger=ledger, say=say)
    found = _shown(client, wanted, request, said_id, sent_at=sent_at, say=say, clock=clock)
    if found is None:
        _lose(client, intent, ledger=ledger)
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


def _post(
    client: Client,
    wanted: Rental,
    request: DeployRequest,
    intent: Intent,
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
        intent.take_back(ledger)
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
        intent.take_back(ledger)
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


def _lose(client: Client, intent: Intent, *, ledger: Ledger) -> None:
    """Note that nothing lives because of an intent, and what it cost, should it have ended at once.

    A failure leaves it to the next rental, which settles first.
    """
    intent.take_back(ledger, lost=True)
    with suppress(LedgerError, IonetError):
        reading = ledger.read(intent.owner)
        settle.settle(client, ledger, reading, rows=client.deployments())
