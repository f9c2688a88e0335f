"""Starts another container on a rented machine: recorded before, sent once, proved after.

What io.net does on its PATCH is not documented. So every member is sent, what the deployment shows
then is compared, and a clear no is written into the ledger, for the next plan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from components.config.run_settings import short_hash
from components.ionet import fingerprint, machine_state
from components.ionet.client import Client
from components.ionet.errors import (
    KeyRefusedError,
    NotReadyError,
    NotRecordedError,
    RequestRefusedError,
    RestartRefusedError,
    UnclearError,
)
from components.ionet.models import Deployment, DeployRequest
from components.ionet.properties import Rental
from components.ionet.rental.extension import with_entry
from components.ionet.rental.waiting import SAY_EVERY_S, SETTLED_AFTER_S, Clock, Say, minutes
from components.ledger.ledger import Ledger, LedgerError
from components.ledger.page import Entry, Page
from components.r2.life_signs import LifeSign
from container.contract.environment import differing
from container.contract.redacted import without_secrets

BEAT_WITHIN_S = 1800.0  # as long as a new machine is given by default; the image is pulled anew
AS_BEFORE = "it shows the container of before"
NOT_TOLD = "its variables are not told"
_REASON_CHARS = 300


@dataclass(frozen=True, kw_only=True)
class Restart:
    """A machine, by ID and private name, and the container that it shall run."""

    deployment_id: str
    name: str
    wanted: Rental  # for the hours that are bought
    entry: Entry  # for the ledger, where it has none of this machine

    @property
    def request(self) -> DeployRequest:
        """What is wanted, as a new machine would be asked for it."""
        return self.wanted.request(private_name=self.name)

    @property
    def container(self) -> str:
        """The mark that the ledger has of it."""
        wanted = self.wanted
        return _mark(wanted.env, image=wanted.image, prefix=wanted.place.prefix)


def is_stale(state: Mapping[str, Any], entry: Entry | None) -> bool:
    """Whether the machine was told to run another container than its state knows."""
    if entry is None or not entry.container:
        return False
    env: dict[str, str] = state.get("env") or {}
    marked = _mark(env, image=state["image"], prefix=machine_state.place(state).prefix)
    return marked != entry.container


def restart(
    client: Client,
    asked: Restart,
    *,
    ledger: Ledger,
    life_sign: Callable[[], LifeSign],
    set_aside: Callable[[], None],
    stopped: Callable[[], AbstractContextManager[None]],
    say: Say,
    clock: Clock | None = None,
) -> int:
    """Let the machine run the wanted container; return how many attempts the run had before.

    Safe to repeat: a machine that shows the container's fingerprint is sent nothing. Within
    `stopped` the run of before has stopped; where this raises, it goes on. Nothing is recorded
    before that: whoever ends in its wait has asked for no container. `set_aside` is called right
    before it is sent. Raises RestartRefusedError, which the ledger has then, and
    UnclearError, NotRecordedError; the machine stays.
    """
    clock = clock or Clock()
    request = asked.request
    if _runs(client, asked.deployment_id, request) == "":
        say(f"{asked.wanted.run}: its machine was told to start this container before")
        _edit(ledger, asked, renew=asked.wanted.renew)  # raised, and nothing else with it
        return _attempts_before(ledger, asked)
    life_sign()  # where the bucket does not answer, nothing is stopped
    with stopped():
        before = life_sign().attempt
        _mark_asked(ledger, asked, attempts=before)
        set_aside()
        answered = _send(client, asked, request, ledger=ledger, say=say)
        other = _shown(client, asked, request, say=say, clock=clock)
        if other == AS_BEFORE and not answered:
            raise _unclear(asked)  # it may never have arrived, or arrive later: that is no refusal
        if other:
            asked_for = "" if other == AS_BEFORE else asked.container
            _refuse(ledger, asked, f"it answered yes, and {other}.", container=asked_for, say=say)
    return before


def wait_for_beat(
    client: Client,
    asked: Restart,
    *,
    after: int,
    life_sign: Callable[[], LifeSign],
    still_wanted: Callable[[], None],
    say: Say,
    clock: Clock | None = None,
) -> None:
    """Return when a later attempt than number `after` has left a sign of life in the bucket.

    Raises NotReadyError when the machine ends or the time is over; calling again waits again.
    """
    clock = clock or Clock()
    run, started, said_at = asked.wanted.run, clock.now(), -SAY_EVERY_S
    for _ in clock.pauses():
        still_wanted()
        sign, waited_s = life_sign(), clock.now() - started
        if sign.attempt > after or sign.ended:
            say(f"{run}: attempt {sign.attempt} trains on the same machine")
            return
        status = _alive(client, asked.deployment_id)
        if waited_s > BEAT_WITHIN_S:
            raise NotReadyError(
                f"the new container of run {run} gave no sign of life in {minutes(BEAT_WITHIN_S)} "
                f"(io.net says: {status}). Deployment {asked.deployment_id} is still rented: "
                "`pulumi up` waits again, `python -m runs logs` shows what it wrote to the bucket, "
                "`pulumi destroy` gives it back."
            )
        if waited_s - said_at >= SAY_EVERY_S:
            said_at = waited_s
            say(f"{run}: starts again on the same machine: {status} ({waited_s:.0f} s)")
    raise AssertionError("pauses never end")


def _mark(env: Mapping[str, str], *, image: str, prefix: str) -> str:
    return short_hash([dict(env), image, prefix])


def _runs(client: Client, deployment_id: str, request: DeployRequest) -> str:
    """Return in what the machine's container is another one; "" when it is the wanted one.

    Of secrets the fingerprint tells, which none but us can make.
    """
    shown = client.deployment(deployment_id)
    _require_alive(shown)
    if shown.env is None:
        return NOT_TOLD
    told = shown.env.get(fingerprint.VARIABLE)
    if told != request.env[fingerprint.VARIABLE]:
        return AS_BEFORE if told else "it dropped variables of the new container"
    # Maps may be merged: a variable that the wanted one does not have would still be there.
    kept = differing(shown.env, request.env)
    return f"it kept {', '.join(kept)} of the container of before" if kept else ""


def _send(
    client: Client, asked: Restart, request: DeployRequest, *, ledger: Ledger, say: Say
) -> bool:
    """Send it; return whether the vendor answered yes. Nobody knows what became of it if not."""
    try:
        client.update(asked.deployment_id, request)
    except (KeyRefusedError, RequestRefusedError) as error:
        # A refused key, or "not found", may be about this very request: about its image, say. A bad
        # key cannot read the machine either, and one that has ended is no refusal.
        _require_alive(client.deployment(asked.deployment_id))
        _refuse(ledger, asked, str(error), container="", say=say)
    except UnclearError:
        say(f"{asked.wanted.run}: no clear answer to the change of its container; looking for it")
        return False
    return True


def _shown(
    client: Client, asked: Restart, request: DeployRequest, *, say: Say, clock: Clock
) -> str:
    """Return "" when the machine shows the wanted container, or tells none; else what it shows.

    What is shown may lag behind. A variable of before beside the new ones is no lag.
    """
    started, told = clock.now(), ""
    for _ in clock.pauses():
        try:
            told = _runs(client, asked.deployment_id, request)
            if told != AS_BEFORE and told != NOT_TOLD:
                return told
        except UnclearError:
            told = ""
        if clock.now() - started > SETTLED_AFTER_S:
            break
    if told == NOT_TOLD:
        return ""  # a sign of life of its own is the proof then
    if not told:
        raise _unclear(asked)
    return told


def _unclear(asked: Restart) -> UnclearError:
    return UnclearError(
        f"io.net does not tell what became of the change to deployment {asked.deployment_id}. "
        "Run `pulumi up` again: it looks before it sends anything."
    )


def _alive(client: Client, deployment_id: str) -> str:
    """Return the status of a machine that lives; NotReadyError when it has ended."""
    try:
        shown = client.deployment(deployment_id)
    except UnclearError:
        return "no answer"
    _require_alive(shown)
    return shown.status.lower()


def _require_alive(shown: Deployment) -> None:
    if shown.life != "alive":
        raise NotReadyError(
            f"deployment {shown.id} is {shown.status.lower()}, so that it trains nothing new. Run "
            "`pulumi up` again: it looks what became of the run."
        )


def _attempts_before(ledger: Ledger, asked: Restart) -> int:
    try:
        entry = ledger.read(asked.wanted.owner).page.entry_of(asked.deployment_id)
    except LedgerError as error:
        raise _not_recorded(error) from None
    return entry.attempts if entry else 0


def _mark_asked(ledger: Ledger, asked: Restart, *, attempts: int) -> None:
    _edit(
        ledger,
        asked,
        container=asked.container,
        attempts=attempts,
        restart_refused="",
        token_id=asked.wanted.access.access_key_id,
        renew=asked.wanted.renew,
    )


def _refuse(ledger: Ledger, asked: Restart, why: str, *, container: str, say: Say) -> None:
    """Record that the vendor does not do it, and raise RestartRefusedError.

    `container` is there where the machine may run something else than before all the same.
    """
    printable = "".join(one if one.isprintable() else " " for one in without_secrets(why))
    reason = " ".join(printable.split())[:_REASON_CHARS]
    try:
        _edit(ledger, asked, restart_refused=reason, container=container)
    except NotRecordedError as error:
        say(f"{asked.wanted.run}: {error}")
    raise RestartRefusedError(
        f"io.net starts no other container on deployment {asked.deployment_id} of run "
        f"{asked.wanted.run}: {reason.rstrip('.')}. The machine stays rented, and nothing was "
        "bought. `pulumi preview` shows what another machine costs, and `pulumi up` rents it; or "
        "put back what you changed."
    )


def _edit(ledger: Ledger, asked: Restart, **changes: Any) -> None:
    def edit(page: Page, _now: datetime) -> Page:
        page = with_entry(page, asked.entry)
        return page.mapped(
            lambda entry: entry.deployment_id == asked.deployment_id,
            lambda entry: dataclasses.replace(entry, **changes),
        )

    try:
        ledger.edit(asked.wanted.owner, edit)
    except LedgerError as error:
        raise _not_recorded(error) from None


def _not_recorded(error: LedgerError) -> NotRecordedError:
    return NotRecordedError(
        f"{error} Its machine was told nothing; it runs on. Check the network, then run "
        "`pulumi up` again."
    )
