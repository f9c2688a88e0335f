"""Whether a rented machine is worth its hours: its heartbeat, its check, and what follows of them.

Where fewer hours were bought than are planned, the rest is bought here once the machine is checked;
one that does not work is given back. Says what it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.ionet import (
    engine_watchdog,
    hours_told,
    machine_state,
    properties,
    readiness,
    session,
)
from components.ionet.client import Client
from components.ionet.errors import NotReadyError
from components.ionet.rental import first_hours
from components.ionet.rental.first_hours import FirstHours
from components.ledger.ledger import Ledger

Props = Mapping[str, Any]


def ready(deployment_id: str, props: Props) -> str:
    """Return the address of the run's page, "" where the run has its verdict already.

    Returns when the machine is checked and its planned hours are bought, where it is to be checked.
    Raises NotReadyError, MachineRefusedError when it was given back, and what an extension raises;
    calling again goes on.
    """
    client = session.client(props["cloud"])
    wanted = first_hours.of_state(deployment_id, props, now=session.now())
    if wanted is None:
        try:
            return _heartbeat(client, deployment_id, props)
        except NotReadyError:
            if session.verdict(props) is None:
                raise
            return ""
    ledger = session.ledger(machine_state.place(props), None)
    if reason := first_hours.refusal(ledger, wanted):
        raise _refused(client, wanted, reason, ledger=ledger, props=props)
    try:
        address = _heartbeat(client, deployment_id, props, at_most_s=_left_s(client, wanted))
        _checked(client, wanted, ledger=ledger, props=props)
    except NotReadyError as error:
        verdict = session.verdict(props)
        if verdict and (verdict.outcome != "stopped" or not error.fault):
            return ""
        if not error.fault:
            raise
        raise _refused(client, wanted, error.fault, ledger=ledger, props=props) from None
    return address


def _heartbeat(
    client: Client, deployment_id: str, props: Props, *, at_most_s: float | None = None
) -> str:
    timeout_s = float(props["timeoutMinutes"]) * 60
    return readiness.wait(
        client,
        deployment_id,
        run=props["run"],
        timeout_s=timeout_s if at_most_s is None else min(timeout_s, max(at_most_s, 0.0)),
        still_wanted=engine_watchdog.require_alive,
        say=session.say,
    )


def _checked(client: Client, wanted: FirstHours, *, ledger: Ledger, props: Props) -> None:
    """Wait for the check, and buy the rest of the hours; raises NotReadyError for a refusal."""
    if wanted.planned_hours <= wanted.hours:
        return  # nothing hangs on it: what its own check refuses, its first heartbeat tells
    more = wanted.planned_hours - wanted.hours
    found = readiness.wait_checked(
        client,
        wanted.deployment_id,
        run=wanted.run,
        left_s=lambda: _left_s(client, wanted),
        still_wanted=engine_watchdog.require_alive,
        say=session.say,
    )
    if found.kind == "ended":
        session.say(f"{wanted.run}: {found.why}; the other {more} h are not bought")
        first_hours.buy_no_more(ledger, wanted, say=session.say)
        return
    if found.kind == "refused":
        raise NotReadyError(
            f"deployment {wanted.deployment_id} of run {wanted.run}: {found.why}", fault=found.why
        )
    session.say(f"{wanted.run}: machine checked: {found.why}. Buys the other {more} h")
    hours = first_hours.buy_rest(
        client, wanted, ledger=ledger, known=session.known(wanted.run), say=session.say
    )
    hours_told.tell_of_more(wanted.deployment_id, props, hours=hours, before="first")


def _left_s(client: Client, wanted: FirstHours) -> float:
    return first_hours.left_s(client, wanted, now=session.now())


def _refused(
    client: Client, wanted: FirstHours, reason: str, *, ledger: Ledger, props: Props
) -> Exception:
    attempts = properties.known(props).get("attempts") or 1
    return first_hours.refuse(
        client, wanted, reason, ledger=ledger, attempts=attempts, say=session.say
    )
