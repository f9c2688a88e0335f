"""Deletes a deployment: its run is asked to stop first, and a receipt says what came of it.

What is in the bucket decides nothing about the machine: where the run cannot be asked, or does not
answer, that is said, and the machine is given back.
"""

from __future__ import annotations

import os
from typing import Any

from components.errors import TrainstackError
from components.ionet import machine_state, session, stopping
from components.ionet.client import Client
from components.ionet.errors import IonetError, UnknownDeploymentError
from components.ionet.models import Deployment
from components.ionet.rental import account, close, give_back, notice, others, receipt, stop
from components.r2.run_objects import RunObjectsError

GIVEN_BACK, GONE = "given back", "gone already"
LOOK_FOR_S = 8.0
NOTE_FOR_S = 20.0  # the machine is gone, and a person waits


def delete(deployment_id: str, props: dict[str, Any]) -> None:
    """Return when the run has stopped as far as it can, and the vendor shows its machine as ended.

    Calling again goes on: a run that has its verdict, or that was told before, is not waited for
    anew. With the engine gone the run trains on, and the machine stays in the state.
    """
    within_s = stop.within_s(os.environ)
    client = session.client(props["cloud"])
    before = account.details(client, deployment_id)
    if before is not None and before.life == "alive":
        stopping.ask(props, within_s=within_s, then="Its machine is given back all the same")
    done = _give_back(client, deployment_id, props)
    if done == GIVEN_BACK and before is not None and before.life == "ended":
        done = GONE
    if done == GIVEN_BACK:
        notice.tell_given_back(
            machine_state.known_text(props, "notifyUrl"),
            run=str(props["run"]),
            prefix=machine_state.known_text(props, "r2Prefix"),
            say=session.say,
        )
    _say_what_came(client, deployment_id, props, done=done, before=before)
    place = machine_state.place(props)
    close.note_given_back(
        client,
        session.ledger(place, machine_state.access(props), write_for_s=NOTE_FOR_S),
        machine_state.owner(props),
        entry=machine_state.entry(deployment_id, props, now=session.now()),
        say=session.say,
    )
    _warn_of_others(client, deployment_id, props)


def _warn_of_others(client: Client, deployment_id: str, props: dict[str, Any]) -> None:
    """Say which machines of the run stay: after this, nobody may look again."""
    place, owner = machine_state.place(props), machine_state.owner(props)
    try:
        ledger = session.ledger(place, machine_state.access(props), read_for_s=LOOK_FOR_S)
        found = others.others(
            client,
            client.deployments(),
            ledger.read(owner),
            identity=machine_state.known_text(props, "identity"),
            bucket=place.bucket,
            known={deployment_id},
        )
    except TrainstackError:
        return  # what could not be read was said just before
    for other in found:
        session.say(others.warning(owner, other))


def _say_what_came(
    client: Client,
    deployment_id: str,
    props: dict[str, Any],
    *,
    done: str,
    before: Deployment | None,
) -> None:
    run, place = str(props["run"]), machine_state.place(props)
    objects, why_unknown = None, ""
    try:
        objects = stopping.objects(props)
    except RunObjectsError as error:
        why_unknown = str(error)
    block = receipt.take(
        objects,
        run=run,
        deployment_id=deployment_id,
        done=done,
        before=before,
        after=_record_of(client, deployment_id),
        why_unknown=why_unknown,
    )
    session.say(
        f"{run}: machine {done}.\n"
        + "\n".join(block.lines())
        + "\n  Nothing deletes what is kept but you: "
        f"python -m runs rm --bucket {place.bucket} --prefix {place.prefix}"
    )


def _give_back(client: Client, deployment_id: str, props: dict[str, Any]) -> str:
    """Give the machine back, and say how it came to its end."""
    hours, rented_at = machine_state.hours_bought(props), machine_state.rented_at(props)
    try:
        name = machine_state.known_text(props, "privateName")
        give_back.give_back(client, deployment_id, name=name)
    except UnknownDeploymentError as error:
        forgotten = give_back.why_forgotten(
            deployment_id, rented_at=rented_at, hours=hours, now=session.now()
        )
        if forgotten:
            return forgotten
        remedy = give_back.how_to_forget(deployment_id, rented_at=rented_at, hours=hours)
        raise UnknownDeploymentError(f"{error} {remedy}") from None
    return GIVEN_BACK


def _record_of(client: Client, deployment_id: str) -> Deployment | None:
    try:
        return account.details(client, deployment_id)
    except IonetError:
        return None  # it is given back; what it cost is said to be unknown
