"""Gives machines back for every command that does: until they are gone, and the ledger knows it.

A run is asked to stop first where somebody waits for that. What is to be given back is decided in
reaping.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

from components.ionet.client import Client
from components.ionet.models import Deployment
from components.ionet.rental import account, receipt
from components.ionet.rental.close import note_given_back
from components.ionet.rental.notice import tell_given_back
from components.ionet.rental.receipt import Receipt
from components.ionet.rental.stop import Asking, Stopped
from components.ionet.rental.waiting import Clock
from components.ledger.ledger import WRITE_FOR_S
from components.r2.run_objects import RunObjects, RunObjectsError
from container.contract.keys import VERDICT_KEY
from container.contract.records import Verdict
from runs import machines, reaping, rentals
from runs.errors import RunsError, UnreadableError
from runs.inventory import Inventory
from runs.machines import Machine
from runs.reaping import OfEndedRuns
from runs.rentals import Rental
from runs.source.source import Source
from runs.terminal.console import say
from runs.waits import waiting

NOTIFY_KEY = "trainstack:notifyUrl"


def give_back(source: Source, client: Client, machine: Machine, *, found: Inventory) -> None:
    """Destroy a machine, return when it is gone; raises RunsError when it may still bill."""
    one = machine.deployment_id
    say(f"giving back {one} ({machine.name}) …")
    machines.give_back(client, machine)
    say(f"{one} is gone.")
    _tell(source, machine)
    if found.rentals is None:
        say(f"the ledger could not be asked: where it names {one}, the same command closes it.")
    elif machine.rental is not None:
        ledger = rentals.ledger(source.s3_access, bucket=source.bucket)
        with waiting("the ledger in the bucket", at_most_s=WRITE_FOR_S):
            owner, entry = machine.rental.owner, replace(machine.rental.entry, deployment_id=one)
            note_given_back(client, ledger, owner, entry=entry, say=say)


def _tell(source: Source, machine: Machine) -> None:
    """Tell whoever the stack's config names; without a stack nobody is known."""
    run = machine.rental.owner.run if machine.rental else machine.prefix or machine.name
    try:
        url = source.secret_config(NOTIFY_KEY)
    except RunsError as error:
        why = str(error).splitlines()[0].rstrip(".")
        say(f"{run}: whom to tell that its machine is given back is not known: {why}.")
        return
    tell_given_back(url, run=run, prefix=machine.prefix, say=say)


def of_ended_runs(source: Source, found: Inventory, *, failed: bool) -> OfEndedRuns:
    """Read the verdicts of the runs that machines train; raises RunsError without an answer."""
    verdicts: dict[str, Verdict | None] = {}
    unreadable: list[str] = []
    for prefix in {machine.prefix for machine in found.machines if machine.prefix}:
        try:
            verdicts[prefix] = source.bucket.record(f"{prefix}/{VERDICT_KEY}", Verdict)
        except UnreadableError as error:
            unreadable.append(" ".join(str(error).split()))
    done = reaping.of_ended_runs(found.machines, verdicts, failed=failed)
    return replace(done, left=[*done.left, *unreadable])


@dataclass(frozen=True, kw_only=True)
class Ending:
    """One run whose machines are given back, with a receipt each."""

    source: Source
    client: Client
    found: Inventory
    run: str
    prefix: str

    def ask_to_stop(
        self, *, within_s: float, show: Callable[[str], None], clock: Clock | None = None
    ) -> Stopped:
        """Ask the run to stop, and wait; Ctrl-C takes that back, and the run goes on."""
        objects = self._objects()
        asking = Asking(open=lambda: objects, within_s=within_s, show=show, clock=clock or Clock())
        try:
            return asking.ask()
        except KeyboardInterrupt:
            try:
                asking.take_back()
                say("\nThe order to stop was taken back: a run that had not stopped yet goes on.")
            except RunObjectsError as error:
                say(f"\nThe order to stop stands, the run ends by it: {error}.")
            raise

    @classmethod
    def of_machine(
        cls, machine: Machine, *, source: Source, client: Client, found: Inventory
    ) -> Self:
        """Return the end of the run that a machine says it trains."""
        run = machine.rental.owner.run if machine.rental else machine.prefix
        return cls(source=source, client=client, found=found, run=run, prefix=machine.prefix)

    def give_back(self, machine: Machine) -> Receipt:
        """Give one machine back, and say what came of it; raises RunsError as `give_back`."""
        before = self._record_of(machine)
        give_back(self.source, self.client, machine, found=self.found)
        after = self._record_of(machine)
        return self._receipt(machine.deployment_id, before=before, after=after)

    def _receipt(
        self, deployment_id: str, *, before: Deployment | None, after: Deployment | None
    ) -> Receipt:
        objects, why = None, ""
        try:
            objects = self._objects()
        except RunsError as error:
            why = " ".join(str(error).split())
        return receipt.take(
            objects,
            run=self.run,
            deployment_id=deployment_id,
            before=before,
            after=after,
            why_unknown=why,
        )

    def given_back_before(self) -> Receipt:
        """Return a receipt from the records alone, of the machine that was given back last.

        An entry of the ledger that is still open though its machine has ended is closed: whoever
        gave it back was killed before that.
        """
        theirs = [one for one in self.found.rentals or () if self._is_ended(one)]
        for one in theirs:
            if one.entry.is_open:
                ledger = rentals.ledger(self.source.s3_access, bucket=self.source.bucket)
                with waiting("the ledger in the bucket", at_most_s=WRITE_FOR_S):
                    note_given_back(self.client, ledger, one.owner, entry=one.entry, say=say)
        newest = max(theirs, key=lambda one: one.entry.asked_at, default=None)
        last = newest.entry.deployment_id if newest else ""
        after = None
        if last:
            with suppress(RunsError), machines.explained(self.client):
                after = account.details(self.client, last)
        return self._receipt(last, before=None, after=after)

    def _is_ended(self, rental: Rental) -> bool:
        family, entry = rental.owner.family(rental.entry.identity), rental.entry
        is_over = rental.shown == "ended" or entry.state == "given back"
        return bool(entry.deployment_id) and is_over and self.prefix.startswith(f"{family}-")

    def _objects(self) -> RunObjects:
        bucket = self.source.bucket
        return RunObjects(client=bucket.client, bucket=bucket.name, prefix=self.prefix)

    def _record_of(self, machine: Machine) -> Deployment | None:
        try:
            with machines.explained(self.client):
                return account.details(self.client, machine.deployment_id)
        except RunsError:
            return None  # what is charged is said to be unknown; the machine is given back
