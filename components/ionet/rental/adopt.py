"""Which of the machines that bear a run's identity is the one that is wanted now."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from components.ionet import cost, fingerprint
from components.ionet.client import Client
from components.ionet.models import Deployment, DeploymentRow
from components.ionet.offers import Offer
from components.ionet.properties import Rental
from components.ionet.rental import account
from components.ledger.page import Entry, Page
from container.contract.environment import NAMES, RENTAL_NAMES, differing


@dataclass(frozen=True, kw_only=True)
class Rented:
    """A machine that is ours, and what it was rented with."""

    id: str
    name: str
    offer: Offer
    hours: int  # bought
    rented_at: datetime | None
    image: str
    env: Mapping[str, str]  # of the program's declaration
    charged: bool = False  # the offer's total is what the vendor charged
    token_id: str = ""  # of the token that it holds
    adopted: bool = False


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A living machine that bears the identity: what the account and the ledger tell of it."""

    id: str
    name: str
    deployment: Deployment
    entry: Entry | None = None


def candidates(
    client: Client, rows: Sequence[DeploymentRow], page: Page, wanted: Rental
) -> list[Candidate]:
    """Return the living machines of this identity, in the list or by an ID of the ledger."""
    by_id = {
        row.id: row.name
        for row in rows
        if row.life == "alive" and row.name.startswith(wanted.name_prefix)
    }
    listed = {row.id for row in rows}
    for entry in page.open_entries():
        if entry.identity == wanted.identity and entry.deployment_id not in listed | {""}:
            by_id.setdefault(entry.deployment_id, entry.name)  # a list may lag behind
    found: list[Candidate] = []
    for deployment_id, name in by_id.items():
        deployment = account.details(client, deployment_id)
        if deployment is not None and deployment.life == "alive":
            entry = next((one for one in page.entries if one.deployment_id == deployment_id), None)
            found.append(Candidate(id=deployment_id, name=name, deployment=deployment, entry=entry))
    return found


def is_wanted(
    candidate: Candidate, wanted: Rental, *, live_tokens: Callable[[], Collection[str]]
) -> bool:
    """Tell whether a machine was started with what is wanted now, credentials included.

    A machine without a fingerprint was rented by an older release: that alone is no difference. Nor
    is another token that still lives, unless a renewal was asked for since: the state was rolled
    back over the making of that token, and the machine can write.
    """
    env = candidate.deployment.env
    if env is None or NAMES["prefix"] not in env:
        return True  # its name bears the identity, and nothing speaks against it
    if differing(env, wanted.env):
        return False
    countries = set(candidate.deployment.countries)
    if wanted.wish.locations and countries and not countries & set(wanted.wish.locations):
        return False
    if fingerprint.compare(env, wanted.secret_env()) != "other":
        return True
    entry = candidate.entry
    return bool(entry and entry.renew == wanted.renew and entry.token_id in live_tokens())


def as_rented(candidate: Candidate, wanted: Rental) -> Rented:
    """Return what an adopted machine was rented with, as far as the account tells."""
    deployment = candidate.deployment
    env = dict(deployment.env or wanted.env)
    image = env.get(NAMES["image_digest"]) or wanted.image
    charged = deployment.amount_paid_usd > 0
    hours = cost.adopted_hours(
        minutes=deployment.compute_minutes_served + deployment.compute_minutes_remaining,
        total_gpus=deployment.total_gpus,
        wanted_hours=candidate.entry.hours if candidate.entry else wanted.bought_hours,
    )
    offer = _bought(wanted, hours=hours)
    if charged:
        offer = dataclasses.replace(offer, total_usd=deployment.amount_paid_usd)
    return Rented(
        id=candidate.id,
        name=candidate.name,
        offer=offer,
        charged=charged,
        hours=hours,
        rented_at=deployment.created_at,
        image=image,
        env={k: v for k, v in env.items() if k not in RENTAL_NAMES},
        token_id=candidate.entry.token_id if candidate.entry else "",
        adopted=True,
    )


def _bought(wanted: Rental, *, hours: int) -> Offer:
    """Return the offer for the hours that an adopted machine has, by the price of the whole."""
    offer, planned = wanted.offer, wanted.wish.hours
    if not wanted.first_hours or hours >= planned:
        return offer
    first_usd = offer.total_usd * hours / planned
    return dataclasses.replace(offer, total_usd=first_usd, rest_usd=offer.total_usd - first_usd)
