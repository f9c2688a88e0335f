"""Gives machines back, and returns when the account shows that they have ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta

from components.ionet.client import Client
from components.ionet.errors import (
    NotFoundError,
    NotGoneError,
    RequestRefusedError,
    UnknownDeploymentError,
)
from components.ionet.rental import account
from components.ionet.rental.waiting import Clock, Say

GONE_WITHIN_S = 900.0
ASK_AGAIN_S = 60.0
UNKNOWN_LOOKS = 4  # a second or two: details do not lag as the list does
FORGET = "TRAINSTACK_FORGET_DEPLOYMENT"
AFTER_ITS_HOURS = timedelta(days=1)


def give_back(
    client: Client, deployment_id: str, *, name: str = "", clock: Clock | None = None
) -> None:
    """Destroy a deployment and return when the account shows that it has ended.

    Found by its ID, else by its private name. Raises NotGoneError when it is still there after the
    time allowed, UnknownDeploymentError when this account does not show it at all.
    """
    clock = clock or Clock()
    started = clock.now()
    asked_at: float | None = None
    was_shown, looks = False, 0
    for _ in clock.pauses():
        try:
            if asked_at is None or clock.now() - asked_at > ASK_AGAIN_S:
                asked_at = clock.now()
                client.delete(deployment_id)
                was_shown = True
            if client.deployment(deployment_id).life == "ended":
                return
            was_shown = True
        except RequestRefusedError as error:
            if not (isinstance(error, NotFoundError) or error.status == account.NO_ID):
                raise
            shown = account.look(client, deployment_id, name=name)
            # The account that took the deletion, or showed it just now, knows what is gone.
            if shown.life == "ended" or (shown.life == "unknown" and was_shown):
                return
            if shown.deployment_id != deployment_id:
                deployment_id, asked_at = shown.deployment_id, None
            looks += shown.life == "unknown"
            if looks >= UNKNOWN_LOOKS:
                raise UnknownDeploymentError(
                    f"deployment {deployment_id} is unknown to {client.account}. Another account's "
                    "key would say the same of a machine that bills."
                ) from None
        if clock.now() - started > GONE_WITHIN_S:
            raise NotGoneError(
                f"deployment {deployment_id} is not gone after {GONE_WITHIN_S / 60:.0f} minutes "
                "and may still bill. It stays in the state: run `pulumi destroy` again, and look "
                "at io.net's console."
            )


def give_back_all(
    client: Client, name_prefix: str, *, say: Say, clock: Clock | None = None
) -> list[str]:
    """Destroy every living deployment whose private name begins so; return their IDs."""
    given_back: list[str] = []
    for row in client.deployments():
        if row.name.startswith(name_prefix) and row.life != "ended":
            say(f"giving back deployment {row.id} ({row.name}), which no state knows")
            give_back(client, row.id, clock=clock)
            given_back.append(row.id)
    return given_back


def why_forgotten(
    deployment_id: str,
    *,
    rented_at: datetime | None,
    hours: int,
    now: datetime,
    env: Mapping[str, str] = os.environ,
) -> str:
    """Return why a deployment that no account shows may leave the state; "" when it may not."""
    if env.get(FORGET) == deployment_id:
        return f"forgotten, as {FORGET} says"
    if rented_at and rented_at + timedelta(hours=hours) + AFTER_ITS_HOURS <= now:
        return f"taken for ended: its {hours} h have been over for more than a day"
    return ""


def how_to_forget(deployment_id: str, *, rented_at: datetime | None, hours: int) -> str:
    """Return what a user can do about a deployment that this account does not show."""
    end = rented_at + timedelta(hours=hours) + AFTER_ITS_HOURS if rented_at else None
    later = f" From {end:%Y-%m-%d %H:%M} UTC on it counts as ended." if end else ""
    return (
        "It stays in the state. Set IOCLOUD_API_KEY to a key of the account that rented it, and "
        f"run `pulumi destroy` again.{later} If io.net's console shows that it has ended, forget "
        f"it: {FORGET}={deployment_id} pulumi destroy"
    )
