"""What another container on a rented machine takes: how many hours, how many dollars.

Asks io.net for the machine's minutes, and for prices only where hours are missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from components.config.compatibility import CPU
from components.ionet import cost, machine_state, market, offers, properties, room
from components.ionet.change import Change
from components.ionet.client import Client
from components.ionet.errors import ChangeRefusedError, NoOfferError, TooDearError
from components.ionet.offers import Offer, Wish
from components.ionet.rental import account
from components.ionet.rental.extension import Extension
from components.ionet.room import Room
from components.ledger.budget import Budget
from components.ledger.page import Entry

Props = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RestartPlan:
    """The hours: bought so far, left, and what is bought besides (`extension`)."""

    room: Room
    bought_hours: int
    extension: Extension | None = None

    @property
    def hours(self) -> int:
        """The hours that are bought in the end."""
        return self.extension.new_hours if self.extension else self.bought_hours


def plan(
    client: Client,
    deployment_id: str,
    olds: Props,
    news: Props,
    *,
    decision: Change,
    entry: Entry | None,
    others: Budget,
) -> RestartPlan:
    """Return what a restart takes; raises ChangeRefusedError where a number of hours is too low.

    `entry` is the ledger's of the machine, `others` the run's budget without it.
    """
    old, new = properties.known(olds), properties.known(news)
    offer, is_open = machine_state.offer(olds), properties.leaves_hours_open(news)
    bought = max(machine_state.hours_bought(old), entry.hours if entry else 0)
    asked = new[machine_state.HOURS] - bought if decision.extends else 0
    left = account.remaining_hours(client, deployment_id, bought_hours=bought)
    if offer is None:  # nothing can be quoted
        enough = Room(way="enough", left_hours=left, needed_hours=0)
        return RestartPlan(room=enough, bought_hours=bought)
    wish = properties.wish(news)
    # What goes on takes no longer than before. On a CPU a number of hours is taken as it is, before
    # a rental too.
    counts = decision.is_another_training and (is_open or wish.gpu_type != CPU)
    found = room.decide(
        left_hours=left + asked,
        needed_hours=offers.hours_needed(offer.gpu, wish) if counts else 0,
        extension_usd=lambda more: market.extension_bill(client, offer, hours=more).total_usd,
        # A number of hours that is too low here is so on another machine.
        rental_usd=lambda: _rental_usd(client, wish, others=others) if is_open else None,
    )
    if found.way == "extend" and not is_open:
        raise ChangeRefusedError(_too_few(new, found, bought=bought + asked, offer=offer))
    more = asked + (found.more_hours if found.way == "extend" else 0)
    extension = Extension(
        deployment_id=deployment_id,
        run=new["run"],
        offer=offer,
        old_hours=bought,
        new_hours=bought + more,
        cap_usd=machine_state.cap_usd(news),
        max_usd_per_gpu_hour=machine_state.max_usd_per_gpu_hour(news),
    )
    return RestartPlan(room=found, bought_hours=bought, extension=extension if more > 0 else None)


def in_words(planned: RestartPlan, *, goes_on_from: str) -> str:
    """Return what the change does, and what it costs; `goes_on_from` "" is from the start."""
    found = planned.room
    what = "the same machine starts again"
    what += f" and goes on from {goes_on_from}" if goes_on_from else ", from the start"
    needed = f" of about {found.needed_hours:.1f} h" if found.needed_hours else ""
    left = found.left_hours
    if found.way == "replace":
        return (
            f"{left:.1f} h left{needed}: {found.more_hours} h more would cost "
            f"{cost.dollars(found.extra_usd)}, and another machine "
            f"{cost.dollars(found.rental_usd or Decimal(0))}, so it is given back and another one "
            "is rented"
        )
    if planned.extension is None:
        enough = "are enough" if found.needed_hours else "stay"
        needs = f" (needs about {found.needed_hours:.1f} h)" if found.needed_hours else ""
        return f"{what}, {left:.1f} h left {enough}{needs}, no charge"
    if not found.more_hours:
        return f"{what}, and more hours are bought"
    instead = (
        f"; another machine would cost {cost.dollars(found.rental_usd)}" if found.rental_usd else ""
    )
    return (
        f"{what}; {left:.1f} h left{needed} are not enough, {found.more_hours} h more cost "
        f"{cost.dollars(found.extra_usd)}{instead}"
    )


def _rental_usd(client: Client, wish: Wish, *, others: Budget) -> Decimal | None:
    """Return what another machine would cost, None where none can be had within the caps."""
    open_wish = dataclasses.replace(wish, hours=0)
    try:
        quoted = market.quote(client, open_wish, cap_usd=others.cap_usd, spent_usd=others.used_usd)
        return market.chosen(quoted)[1].total_usd
    except (NoOfferError, TooDearError):
        return None


def _too_few(new: dict[str, Any], found: Room, *, bought: int, offer: Offer) -> str:
    enough = bought + found.more_hours
    return (
        f"run {new['run']} would not end in the {found.left_hours:.1f} h that are left on its "
        f"machine: what is trained now takes about {found.needed_hours:.1f} h on {offer.machine}. "
        f"{found.more_hours} h more cost {cost.dollars(found.extra_usd)}: set "
        f"trainstack:durationHours to {enough}, or to auto, or put back what you changed. Nothing "
        "was bought; the machine runs on."
    )
