"""Asks the market for the cheapest offer that fits, within the cap; offers.py makes the choice."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from decimal import Decimal

from components.ionet import cost, offers
from components.ionet.client import Client
from components.ionet.errors import (
    NoOfferError,
    RequestRefusedError,
)
from components.ionet.offers import Offer, Wish


def choose(
    client: Client, wish: Wish, *, cap_usd: Decimal, spent_usd: Decimal = Decimal(0)
) -> Offer:
    """Return the offer on which the run costs least, of those that can be had now.

    What the run has cost counts against the cap.

    Raises NoOfferError or TooDearError, each with what there is.
    """
    fit = offers.fitting(client.hardware(), wish)
    for row in fit:
        places = [] if row.regional else client.places(row.hardware_id, gpus=wish.gpus)
        offer = offers.offer_at(row, wish=wish, places=places)
        if offer:
            quoted = _quoted(client, offer, wish)
            _require_within_cap(quoted, wish, cap_usd=cap_usd, spent_usd=spent_usd)
            return quoted
    raise offers.no_place(fit, wish)


def confirm(
    client: Client, offer: Offer, wish: Wish, *, cap_usd: Decimal, spent_usd: Decimal = Decimal(0)
) -> Offer:
    """Return the chosen offer at its price of this moment, right before it is rented.

    Raises NoOfferError when it is gone, TooDearError when it has become dearer than the cap.
    """
    rows = [row for row in client.hardware() if row.hardware_id == offer.hardware_id]
    same_place = dataclasses.replace(wish, locations=(offer.country,))
    with suppress(NoOfferError):
        for row in offers.fitting(rows, same_place):
            places = [] if row.regional else client.places(row.hardware_id, gpus=wish.gpus)
            found = offers.offer_at(row, wish=same_place, places=places)
            if found:
                quoted = _quoted(client, found, wish)
                _require_within_cap(quoted, wish, cap_usd=cap_usd, spent_usd=spent_usd)
                return quoted
    raise NoOfferError(
        f"{offer} was chosen and is gone. Nothing was rented. Run `pulumi up` again to choose anew."
    )


def extension_usd(client: Client, offer: Offer, *, hours: int) -> Decimal:
    """Return what so many hours more cost at this moment, on the machine that was rented so.

    io.net's own quote; where it quotes none, today's price in its catalogue. Raises NoOfferError
    when there is neither: nothing is bought unquoted.
    """
    try:
        return client.price_usd(
            hardware_id=offer.hardware_id,
            location_ids=offer.location_ids,
            gpus=offer.gpus,
            hours=hours,
        )
    except RequestRefusedError:
        pass
    for row in client.hardware():
        if row.hardware_id == offer.hardware_id and row.price_usd_per_hour:
            gpus = 1 if row.regional else offer.gpus
            return cost.total_usd(row.price_usd_per_hour * gpus, hours=hours)
    raise NoOfferError(
        f"io.net quotes no price for {hours} h more of {offer}. Nothing was bought; the machine "
        "runs on until its hours are over. Set trainstack:durationHours back, or try again later."
    )


def summary(offer: Offer, wish: Wish, *, cap_usd: Decimal, spent_usd: Decimal = Decimal(0)) -> str:
    """Return the one line that says what is going to be bought."""
    before = f"; this run cost {cost.dollars(spent_usd)} so far" if spent_usd else ""
    return (
        f"rents {offer} x {wish.hours} h = {cost.dollars(offer.total_usd)} "
        f"(cap {cost.dollars(cap_usd)}{before}){_slower(offer, wish)}"
    )


def _slower(offer: Offer, wish: Wish) -> str:
    longer = wish.times_as_long(offer.gpu)
    if wish.timed_for is None or longer <= 1:
        return ""
    hours = offers.hours_needed(offer.gpu, wish)
    about = f", about {hours:.1f} h" if hours else ""
    return (
        f"; a run takes about {longer:.1f} x as long on it as on the {wish.timed_for.gpu} that its "
        f"recipe is timed for{about}"
    )


def _require_within_cap(offer: Offer, wish: Wish, *, cap_usd: Decimal, spent_usd: Decimal) -> None:
    cost.require_within_cap(
        offer.total_usd,
        cap_usd=cap_usd,
        what=f"{offer} x {wish.hours} h",
        hours=wish.hours,
        spent_usd=spent_usd,
    )


def _quoted(client: Client, offer: Offer, wish: Wish) -> Offer:
    try:
        total = client.price_usd(
            hardware_id=offer.hardware_id,
            location_ids=offer.location_ids,
            gpus=wish.gpus,
            hours=wish.hours,
        )
    except RequestRefusedError:
        return offer  # not every row can be quoted; price x hours stands
    # The bill has fees; a quote below price x hours would be a discount, which is not relied on.
    return dataclasses.replace(offer, total_usd=max(total, offer.total_usd))
