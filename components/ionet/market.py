"""Asks the market for the cheapest offer that fits, within the cap; offers.py makes the choice."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from decimal import Decimal

from components.ionet import cost, offers
from components.ionet.client import Client
from components.ionet.errors import (
    CredentialsTooShortError,
    NoOfferError,
    RequestRefusedError,
)
from components.ionet.offers import Offer, Wish
from components.moment import moment

CREDENTIALS_MARGIN = timedelta(hours=2)
"""Between renting and the end of the bought time lies the boot, and the last upload after it."""


def choose(client: Client, wish: Wish, *, cap_usd: int) -> Offer:
    """Return the cheapest offer that fits and can be had now.

    Raises NoOfferError or TooDearError, each with what there is.
    """
    fit = offers.fitting(client.hardware(), wish)
    for row in fit:
        places = [] if row.regional else client.places(row.hardware_id, gpus=wish.gpus)
        offer = offers.offer_at(row, wish=wish, places=places)
        if offer:
            quoted = _quoted(client, offer, wish)
            cost.require_within_cap(quoted.total_usd, cap_usd=cap_usd, what=_what(quoted, wish))
            return quoted
    raise offers.no_place(fit, wish)


def confirm(client: Client, offer: Offer, wish: Wish, *, cap_usd: int) -> Offer:
    """Return the chosen offer at its price of this moment, right before it is rented.

    Raises NoOfferError when it is gone, TooDearError when it has become dearer than the cap.
    """
    rows = [row for row in client.hardware() if row.hardware_id == offer.hardware_id]
    same_place = dataclasses.replace(wish, locations=(offer.country,))
    for row in offers.fitting(rows, same_place):
        places = [] if row.regional else client.places(row.hardware_id, gpus=wish.gpus)
        found = offers.offer_at(row, wish=same_place, places=places)
        if found:
            quoted = _quoted(client, found, wish)
            cost.require_within_cap(quoted.total_usd, cap_usd=cap_usd, what=_what(quoted, wish))
            return quoted
    raise NoOfferError(
        f"{offer} was chosen and is gone. Nothing was rented. Run `pulumi up` again to choose anew."
    )


def require_lasting_credentials(expire_on: str, *, run: str, hours: float, now: datetime) -> None:
    """Raise when the run's credentials would expire before `hours` from now are over."""
    end = moment(expire_on)
    if end and now + timedelta(hours=hours) + CREDENTIALS_MARGIN > end:
        raise CredentialsTooShortError(
            f"the credentials of run {run} expire at {expire_on}, before {hours:.4g} hours from "
            "now are over. Nothing was bought. Ask for fewer hours, or go on from the run's newest "
            f"checkpoint with new credentials, on a machine rented anew: {renew_command(run)}"
        )


def renew_command(run: str) -> str:
    """Return what a user types to give a run new credentials, which takes another container."""
    return (
        f"pulumi up --replace '**AccountToken::{run}-token' "
        f"--replace '**CaasDeployment::{run}-deployment'"
    )


def summary(offer: Offer, wish: Wish, *, cap_usd: int) -> str:
    """Return the one line that says what is going to be bought."""
    return (
        f"rents {offer} x {wish.hours} h = {cost.dollars(offer.total_usd)} "
        f"(cap {cost.dollars(Decimal(cap_usd))})"
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


def _what(offer: Offer, wish: Wish) -> str:
    return f"{offer} x {wish.hours} h"
