"""A machine that is rented and trains nothing: what an update that changes nothing says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.errors import TrainstackError
from components.ionet import machine_state, properties, session
from components.ionet.more_hours import FRESH_S
from components.ionet.rental import account
from components.r2 import checkpoint_reader, status_reader
from container.contract.still_rented import StillRented

Props = Mapping[str, Any]


def say(deployment_id: str, props: Props) -> bool:
    """Say why a live machine trains nothing; return whether its run has ended, as far as known."""
    listed = session.listed(props["cloud"])
    if listed.rows() is None:
        return False
    place, run = machine_state.place(props), str(props["run"])
    accesses = session.ways(props)
    stack = machine_state.known_text(props, "stack")
    of_stack = ("--stack", stack) if stack else ()
    verdict = checkpoint_reader.ended_with(place, accesses)
    if verdict is None:
        status = status_reader.newest(place, accesses)
        if (
            status
            and status.no_verdict
            and status_reader.age_s(status, now=session.now()) < FRESH_S
        ):
            session.say(
                f"{run}: its machine does not train, and bills: {status.no_verdict}. Give it back, "
                "then `pulumi up` rents another: "
                + " ".join(("python -m runs stop", run, *of_stack))
            )
        return False
    try:
        deployment = account.details(listed.client, deployment_id)
    except TrainstackError:
        return True
    if deployment is None or deployment.life == "ended":
        return True
    rented = StillRented(
        hours_left=account.hours_left(deployment),
        command=" ".join(("pulumi destroy", *of_stack)),
        charged_usd=deployment.amount_paid_usd,
        hours_bought=machine_state.hours_bought(properties.known(props)),
        used_usd=verdict.dollars,
    )
    session.say(f"{run}: {verdict.outcome}; {rented}")
    return True
