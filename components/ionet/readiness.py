"""Waits for a rented machine's first sign of life: its address, then the run's own status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import requests

from components.http_session import make_session
from components.ionet.client import Client
from components.ionet.errors import NotFoundError, NotReadyError, UnclearError
from components.ionet.rental import account
from components.ionet.rental.waiting import Clock, Say

TIMEOUT_S = (5.0, 20.0)
POLL_S = 1.0
SAY_EVERY_S = 15.0


def wait(
    client: Client,
    deployment_id: str,
    *,
    run: str,
    timeout_s: float,
    still_wanted: Callable[[], None],
    say: Say,
    clock: Clock | None = None,
) -> str:
    """Return the address of the run's status page once it answers with the run's own status.

    Raises NotReadyError when the deployment ends first, when its container says that it cannot
    train, or when the time is over; it stays rented then.
    `still_wanted` is called before each look and may raise.
    """
    clock = clock or Clock()
    started = clock.now()
    said_at, said = started, ""
    while True:
        still_wanted()
        waited_s = clock.now() - started
        step, address = _look(client, deployment_id, run=run)
        if address:
            say(f"{run}: first heartbeat after {waited_s:.0f} s at {address}")
            return address
        if step != said or clock.now() - said_at >= SAY_EVERY_S:
            say(f"{run}: {step} ({waited_s:.0f} s)")
            said_at, said = clock.now(), step
        if waited_s > timeout_s:
            raise NotReadyError(
                f"deployment {deployment_id} of run {run} gave no heartbeat in "
                f"{timeout_s / 60:.0f} minutes (last seen: {step}). It is still rented and stays "
                "in the state: `pulumi up` waits again, `python -m runs logs` shows what it wrote "
                "to the bucket, `pulumi destroy` gives it back. trainstack:readyTimeoutMinutes "
                "sets the time."
            )
        clock.sleep(POLL_S)


def _look(client: Client, deployment_id: str, *, run: str) -> tuple[str, str]:
    try:
        deployment = client.deployment(deployment_id)
        workers = client.workers(deployment_id)
    except UnclearError:
        return "io.net does not answer", ""
    except NotFoundError:
        return _unknown(client, deployment_id, run=run), ""
    if deployment.life != "alive":
        raise _ended(deployment_id, run=run, how=deployment.status.lower())
    address = next((worker.public_url for worker in workers if worker.public_url), "")
    if not address:
        events = [event for worker in workers for event in worker.events]
        return ", ".join([deployment.status.lower(), *events[-1:]]), ""
    status = _status(address, run=run)
    if status is None:
        return "container started, no heartbeat yet", ""
    if reason := " ".join(str(status.get("no_verdict") or "").split())[:300]:
        raise NotReadyError(
            f"deployment {deployment_id} of run {run} answers, and does not train: {reason}. It is "
            "still rented and billed: `pulumi destroy` gives it back."
        )
    return "alive", address


def _unknown(client: Client, deployment_id: str, *, run: str) -> str:
    try:
        life = account.look(client, deployment_id).life
    except UnclearError:
        return "io.net does not answer"
    if life == "ended":
        raise _ended(deployment_id, run=run, how="gone") from None
    return f"{client.account} does not show it"


def _ended(deployment_id: str, *, run: str, how: str) -> NotReadyError:
    return NotReadyError(
        f"deployment {deployment_id} of run {run} is {how} before its first heartbeat. `python -m "
        "runs logs` shows what it wrote to the bucket; `pulumi up` rents it again, or says why not."
    )


def _status(address: str, *, run: str) -> dict[str, Any] | None:
    """Return what the run itself says at an address, None when nobody or somebody else answers."""
    try:
        # No key of ours goes to this address.
        with make_session() as session:
            answer = session.get(f"{address}/status.json", timeout=TIMEOUT_S)
        status: Any = answer.json() if answer.ok else None
    except (requests.RequestException, ValueError):
        return None
    if not isinstance(status, dict):
        return None
    found = cast("dict[str, Any]", status)
    return found if found.get("run") == run else None
