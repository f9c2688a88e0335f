"""Asks the market what a run costs on each machine that fits; quote.py makes the choice."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from components.ionet import cost, offers
from components.ionet import quote as quotes
from components.ionet.client import Client
from components.ionet.errors import (
    NoOfferError,
    RequestRefusedError,
)
from components.ionet.models import Bill, Hardware, Place
from components.ionet.offers import Offer, Wish
from components.ionet.quote import NOT_QUOTED, Candidate, Quote

NO_ROOM: Final = "no room at an allowed place"


def quote(
    client: Client, wish: Wish, *, cap_usd: Decimal, spent_usd: Decimal = Decimal(0)
) -> Quote:
    """Return what the run costs on each machine that could be had now; buys and reserves nothing.

    What the run has cost counts against the cap.
    """
    rows = client.hardware()
    seen = [row for row in rows if offers.same_model(row, wish) or not offers.obstacle(row, wish)]
    none: NoOfferError | None = None
    try:
        fit = offers.fitting(rows, wish)
    except NoOfferError as error:
        fit, none = [], error
    candidates = [_candidate(client, row, wish) for row in fit]
    if fit and not any(one.offer or one.why_not == NOT_QUOTED for one in candidates):
        left_out = [f"{one.name}: {one.why_not}" for one in candidates if one.why_not != NO_ROOM]
        none = offers.no_place(fit, wish, left_out=left_out)
    candidates += [
        Candidate(
            row=row,
            wish=wish,
            place=row.location or "",
            available=row.available,
            why_not=offers.obstacle(row, wish),
        )
        for row in seen
        if row not in fit
    ]
    return quotes.of(wish, candidates, cap_usd=cap_usd, spent_usd=spent_usd, none=none)


def chosen(quoted: Quote) -> tuple[Candidate, Offer]:
    """Return the choice of a quote: where the run costs least, of what is within the caps.

    Raises NoOfferError or TooDearError, each with what there is.
    """
    one = quoted.chosen
    if one is None or one.offer is None:
        raise quoted.refusal()
    return one, one.offer


def confirm(
    client: Client, offer: Offer, wish: Wish, *, cap_usd: Decimal, spent_usd: Decimal = Decimal(0)
) -> Offer:
    """Return the chosen offer at its price of this moment, right before it is rented.

    Raises NoOfferError when it is gone or above `maxUsdPerGpuHour`, TooDearError when it has become
    dearer than the cap.
    """
    rows = [row for row in client.hardware() if row.hardware_id == offer.hardware_id]
    same_place = dataclasses.replace(wish, locations=(offer.country,))
    try:
        fit = offers.fitting(rows, same_place)
    except NoOfferError:
        fit = []
    found = [_candidate(client, row, same_place) for row in fit]
    if any(one.offer for one in found):
        still = quotes.of(same_place, found, cap_usd=cap_usd, spent_usd=spent_usd, none=None)
        return chosen(still)[1]
    raise NoOfferError(
        f"{offer} was chosen and is gone. Nothing was rented. Run `pulumi up` again to choose anew."
    )


def bought_first(client: Client, offer: Offer, *, hours: int, planned_hours: int) -> Offer:
    """Return an offer for the planned hours as one for the first of them, the rest set apart."""
    if hours >= planned_hours:
        return offer
    first_usd = min(extension_bill(client, offer, hours=hours).total_usd, offer.total_usd)
    return dataclasses.replace(offer, total_usd=first_usd, rest_usd=offer.total_usd - first_usd)


def extension_bill(client: Client, offer: Offer, *, hours: int) -> Bill:
    """Return what so many hours more cost at this moment, on the machine that was rented so.

    io.net's own quote; where it quotes none, today's price in its catalogue. Raises NoOfferError
    when there is neither: nothing is bought unquoted.
    """
    bill = _bill(client, offer, hours=hours)
    if bill is not None and bill.total_usd > 0:
        return bill
    for row in client.hardware():
        if row.hardware_id == offer.hardware_id and row.price_usd_per_hour:
            gpus = 1 if row.regional else offer.gpus
            return Bill(total_usd=cost.total_usd(row.price_usd_per_hour * gpus, hours=hours))
    raise NoOfferError(
        f"io.net quotes no price for {hours} h more of {offer}. Nothing was bought; the machine "
        "runs on until its hours are over. Set trainstack:durationHours back, or try again later."
    )


def summary(offer: Offer, wish: Wish, *, cap_usd: Decimal, spent_usd: Decimal = Decimal(0)) -> str:
    """Return the one line that says what is going to be bought."""
    bought = quotes.arithmetic(offer, hours=wish.hours_on(offer.gpu))
    before = f"; this run cost {cost.dollars(spent_usd)} so far" if spent_usd else ""
    return f"rents {bought} (cap {cost.dollars(cap_usd)}{before}){_slower(offer, wish)}"


def _slower(offer: Offer, wish: Wish) -> str:
    timed_for, longer = wish.timed_for, wish.times_as_long(offer.gpu)
    if timed_for is None or longer <= 1:
        return ""
    hours = offers.hours_needed(offer.gpu, wish)
    about = f", about {hours:.1f} h" if hours else ""
    return (
        f"; a run takes about {longer:.1f} x as long on it as on the {timed_for.gpu} that its "
        f"recipe is timed for{about}"
    )


def _candidate(client: Client, row: Hardware, wish: Wish) -> Candidate:
    """Ask where a row that fits can be had, and for how much."""
    places = [] if row.regional else client.places(row.hardware_id, gpus=wish.gpus)
    offer = offers.offer_at(row, wish=wish, places=places)
    if offer is None:
        return Candidate(row=row, wish=wish, available=0, why_not=_no_room(row, wish, places))
    found = Candidate(row=row, wish=wish, place=offer.country, available=row.available)
    if not row.regional:
        here = [one for one in places if one.location_id in offer.location_ids]
        found = dataclasses.replace(found, available=sum(p.available_replicas for p in here))
    bill = _bill(client, offer, hours=found.hours)
    if bill is None or bill.total_usd <= 0:
        if not offers.is_priced(row):
            return dataclasses.replace(found, why_not=NOT_QUOTED)
        return dataclasses.replace(found, offer=offer)  # price x hours stands
    if not offers.is_priced(row):
        before_fees = bill.total_usd - (bill.fees_usd or Decimal(0))
        offer = dataclasses.replace(offer, price_usd_per_hour=before_fees / found.hours)
    # The bill has fees; a quote below price x hours would be a discount, which is not relied on.
    total = max(bill.total_usd, offer.total_usd)
    fees = total - cost.total_usd(offer.price_usd_per_hour, hours=found.hours)
    return dataclasses.replace(
        found, offer=dataclasses.replace(offer, total_usd=total), fees_usd=fees
    )


def _no_room(row: Hardware, wish: Wish, places: Sequence[Place]) -> str:
    """Say why no place of a row will do: where a machine did not work, or there is none free."""
    anywhere = dataclasses.replace(wish, bad=())
    if offers.offer_at(row, wish=anywhere, places=places) is None:
        return NO_ROOM
    bad = (wish.bad_at(row.hardware_id, place.location_id) for place in places)
    return next(why for why in bad if why)


def _bill(client: Client, offer: Offer, *, hours: int) -> Bill | None:
    try:
        return client.bill(
            hardware_id=offer.hardware_id,
            location_ids=offer.location_ids,
            gpus=offer.gpus,
            hours=hours,
        )
    except RequestRefusedError:
        return None  # not every row can be quoted
