"""Waits for a rented machine: its address, the run's own status, then what its check says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import requests

from components.http_session import make_session
from components.ionet.client import Client
from components.ionet.errors import NotFoundError, NotReadyError, UnclearError
from components.ionet.rental import account
from components.ionet.rental.waiting import Clock, Say
from container.contract.machine_trust import Judged, judged

TIMEOUT_S = (5.0, 20.0)
POLL_S = 1.0
SAY_EVERY_S = 15.0
POLL_CHECK_S = 5.0
SAY_CHECK_EVERY_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One look at a machine; `status` is the run's own, None where nobody or another answers."""

    step: str
    address: str = ""
    status: dict[str, Any] | None = None


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
        seen = look(client, deployment_id, run=run)
        step = seen.step
        if seen.status is not None:
            say(f"{run}: first heartbeat after {waited_s:.0f} s at {seen.address}")
            return seen.address
        if step != said or clock.now() - said_at >= SAY_EVERY_S:
            say(f"{run}: {step} ({waited_s:.0f} s)")
            said_at, said = clock.now(), step
        if waited_s > timeout_s:
            raise NotReadyError(
                f"deployment {deployment_id} of run {run} gave no heartbeat in "
                f"{timeout_s / 60:.0f} minutes (last seen: {step}). It is still rented and stays "
                "in the state: `pulumi up` waits again, `python -m runs logs` shows what it wrote "
                "to the bucket, `pulumi destroy` gives it back. trainstack:readyTimeoutMinutes "
                "sets the time.",
                fault=f"no heartbeat in {timeout_s / 60:.0f} minutes (last seen: {step})",
            )
        clock.sleep(POLL_S)


def wait_checked(
    client: Client,
    deployment_id: str,
    *,
    run: str,
    left_s: Callable[[], float],
    still_wanted: Callable[[], None],
    say: Say,
    clock: Clock | None = None,
) -> Judged:
    """Return what the machine's own check comes to, once that can be told; never "wait".

    `left_s` tells how many seconds the check may still take: then what is known decides. Raises
    NotReadyError when the deployment ends first, or its container refuses the machine.
    """
    clock = clock or Clock()
    said_at, said = clock.now() - SAY_EVERY_S, ""
    while True:
        still_wanted()
        seen = look(client, deployment_id, run=run)
        due_s = left_s()
        found = judged(seen.status, is_due=due_s <= 0)
        if found.kind != "wait":
            return found
        if found.why != said or clock.now() - said_at >= SAY_CHECK_EVERY_S:
            said_at, said = clock.now(), found.why
            say(f"{run}: {found.why}; {max(due_s, 0) / 60:.0f} min at most")
        clock.sleep(POLL_CHECK_S)


def look(client: Client, deployment_id: str, *, run: str) -> Seen:
    """Look once; raises NotReadyError for one that has ended, or says that it does not train."""
    try:
        deployment = client.deployment(deployment_id)
        workers = client.workers(deployment_id)
    except UnclearError:
        return Seen(step="io.net does not answer")
    except NotFoundError:
        return Seen(step=_unknown(client, deployment_id, run=run))
    events = [event for worker in workers for event in worker.events]
    if deployment.life != "alive":
        how, last = deployment.status.lower(), " ".join(events[-1:])
        raise _ended(deployment_id, run=run, how=how, told=last)
    address = next((worker.public_url for worker in workers if worker.public_url), "")
    if not address:
        return Seen(step=", ".join([deployment.status.lower(), *events[-1:]]))
    status = _status(address, run=run)
    if status is None:
        return Seen(step="container started, no heartbeat yet")
    if reason := " ".join(str(status.get("no_verdict") or "").split())[:300]:
        raise NotReadyError(
            f"deployment {deployment_id} of run {run} answers, and does not train: {reason}. It is "
            "still rented and billed: `pulumi destroy` gives it back.",
            fault=reason if status.get("machine") == "refused" else "",
        )
    return Seen(step="alive", address=address, status=status)


def _unknown(client: Client, deployment_id: str, *, run: str) -> str:
    try:
        life = account.look(client, deployment_id).life
    except UnclearError:
        return "io.net does not answer"
    if life == "ended":
        raise _ended(deployment_id, run=run, how="gone") from None
    return f"{client.account} does not show it"


def _ended(deployment_id: str, *, run: str, how: str, told: str = "") -> NotReadyError:
    told = " ".join(told.split())[:200]
    if how == "failed" and _is_of_image(told):
        return NotReadyError(
            f"deployment {deployment_id} of run {run} is failed: io.net says {told!r}. No other "
            "machine could have this image either, so none is tried and no place is noted as bad. "
            "It is pulled from trainstack:registryServer with registryUsername and "
            "registrySecret: mend those, then run `pulumi up` again, which rents another."
        )
    return NotReadyError(
        f"deployment {deployment_id} of run {run} is {how} before its first heartbeat. `python -m "
        "runs logs` shows what it wrote to the bucket; `pulumi up` rents it again, or says why "
        "not.",
        # Any other end may be somebody's hand, or the end of its hours.
        fault="io.net could not start it" if how == "failed" else "",
    )


def _is_of_image(told: str) -> bool:
    """Whether an event blames the image: its words are not documented, these were seen."""
    words = told.lower()
    return "image" in words and "pull" in words and "fail" in words


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
