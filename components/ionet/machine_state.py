"""What a stack's state says of a rented machine: whose it is, what was bought, where its run lies.

What is not known yet reads as what is not there. Without Pulumi: `runs` reads a state, too.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from components.config.keys import PROJECT_NAMESPACE
from components.ionet.offers import Offer
from components.ledger.budget import KnownRental
from components.ledger.page import Entry, Owner
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import RunPlace
from container.contract.clock import moment

State = Mapping[str, Any]

OFFER = "offer"
HOURS = "durationHours"
EXTENDED_HOURS = "extendedHours"
"""Bought automatically, on top of `durationHours`, which stays what the config asks for."""

RENTED_AT = "rentedAt"
HOURS_FIRST = "hoursFirst"
"""How many hours were bought first, of a machine that is to be checked; else it is not there."""


def offer(props: State) -> Offer | None:
    """Return the offer that was chosen before, if any."""
    text = props.get(OFFER)
    return Offer.from_text(text) if isinstance(text, str) else None


def entry(deployment_id: str, state: State, *, now: datetime) -> Entry:
    """Return the ledger's entry of a machine that only the stack's state tells of."""
    return Entry(
        intent=secrets.token_hex(8),
        identity=state["identity"],
        name=state["privateName"],
        hours=hours_bought(state),
        usd=_paid_usd(state),
        asked_at=rented_at(state) or now,
        state="rented",
        deployment_id=deployment_id,
    )


def known_rental(deployment_id: str, state: State) -> KnownRental:
    """Return what a machine of the stack's state cost, for its run's budget."""
    return KnownRental(
        deployment_id=deployment_id,
        name=known_text(state, "privateName"),
        usd=_paid_usd(state),
    )


def hours_bought(state: State) -> int:
    """Return the hours that a machine was bought, as its state knows."""
    return int(state[HOURS]) + int(state.get(EXTENDED_HOURS) or 0)


def extended(props: State, *, bought: int) -> dict[str, int]:
    """Return a machine's hours as its state has them: those asked for, and what is on top."""
    asked = int(props[HOURS])
    return {HOURS: asked, EXTENDED_HOURS: max(bought - asked, 0)}


def cap_usd(props: State) -> Decimal:
    """Return the most that a run may cost; its property is a number, and exact to the cent."""
    return Decimal(str(props["maxCostUsd"]))


def max_usd_per_gpu_hour(props: State) -> Decimal:
    """Return the most that an hour of one GPU may cost; 0 is no such cap."""
    return Decimal(str(props.get("maxUsdPerGpuHour") or 0))


def rented_at(props: State) -> datetime | None:
    """Return when the deployment was rented; None for a state of before that was stored."""
    return moment(known_text(props, RENTED_AT))


def owner(props: State) -> Owner:
    """Return whose rental it is; a state of before the ledger tells the stack by its prefix.

    The project's name is fixed, and a prefix is `<stack>-<run>-<identity>-<training hash>`.
    """
    run, stack = str(props["run"]), known_text(props, "stack")
    if not stack:
        family = known_text(props, "r2Prefix").rpartition("-")[0]
        stack = family.removesuffix(f"-{run}-{props['identity']}")
    return Owner(project=known_text(props, "project") or PROJECT_NAMESPACE, stack=stack, run=run)


def owner_of_identity(props: State) -> Owner:
    """Return whose identity it is; one of an older release tells it by its stem.

    The project's name is fixed, so that what is left between it and the run is the stack's.
    """
    project = known_text(props, "project") or PROJECT_NAMESPACE
    run, stem = str(props["run"]), str(props["nameStem"])
    stack = known_text(props, "stack")
    if not stack:
        stack = stem.removeprefix(f"{project}-").removesuffix(f"-{run}")
    return Owner(project=project, stack=stack, run=run)


def place(props: State) -> RunPlace:
    """Return where the run's records stand."""
    return RunPlace(
        account_id=props["accountId"],
        endpoint=props["r2Endpoint"],
        bucket=props["bucket"],
        prefix=props["r2Prefix"],
    )


def access(props: State) -> S3Access | None:
    """Return the run's own S3 access, where it is known."""
    key_id, secret = known_text(props, "accessKeyId"), known_text(props, "secretAccessKey")
    if not (key_id and secret):
        return None
    return S3Access(access_key_id=key_id, secret_access_key=secret)


def known_text(props: State, key: str) -> str:
    """Return a text property; "" when it is not set or not known yet."""
    value = props.get(key)
    return value if isinstance(value, str) else ""


def _paid_usd(state: State) -> Decimal:
    chosen = offer(state)
    return chosen.total_usd if chosen else Decimal(0)
