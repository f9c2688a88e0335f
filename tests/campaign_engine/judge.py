"""Whether a story kept the promises of a deployment: asked of vendor, Cloudflare and bucket."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from container.contract import keys
from tests.campaign_engine.account import Machine
from tests.campaign_engine.place import EARLIER, StoryPlace

# What nobody replaces, moves or deletes, below a run's prefix; the ledger is the program's own.
_DURABLE: Final = (keys.RUN_KEY, keys.ATTEMPTS_PREFIX, keys.CHECKPOINTS_PREFIX, "verdicts/")


CENT: Final = Decimal("0.01")
OFFERED: Final = "io.net started no other container on this machine"  # and another one is rented


class Judge:
    """Collects the violations of one story; a violation is told once."""

    def __init__(self, place: StoryPlace) -> None:
        self.violations: list[str] = []
        self._place = place
        self._runs: set[str] = {"main"}
        self._allowed: Counter[str] = Counter()  # machines of a run, one after the other
        self._hours = 0
        self._kept: set[str] = {EARLIER} if place.bucket_exists else set()
        self._outputs: list[tuple[str, str]] = []
        self._told: set[str] = set()
        self._charges_seen = 0

    def violated(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self.violations.append(what)

    def note_runs(self) -> None:
        """Read from the config which runs there are now, and for how long."""
        wanted = self._place.configured("runs") or {"main": {}}
        self._runs = set(wanted)
        for run in self._runs:
            self._allowed[run] = max(1, self._allowed[run])
        hours = int(self._place.configured("durationHours"))
        hours += int(self._place.configured("autoExtend") or 0)
        self._hours = max(self._hours, hours)

    def allow_another(self) -> None:
        """Let each run have one more machine in its turn: it was asked for."""
        for run in self._allowed:
            self._allowed[run] += 1

    def note_output(self, command: str, output: str) -> None:
        """Keep what a command said; what a secret is may be known later only."""
        self._outputs.append((command, output))

    def after_command(self) -> None:
        """Check what must hold at any time."""
        machines = self._machines()
        self._one_at_a_time(machines)
        self._charges(machines)
        self._nothing_is_lost()

    def after_mending(self, outputs: Mapping[str, Any], *, hours: int | None = None) -> None:
        """Check that exactly what is wanted is there, that it is ours, and that it works.

        `hours` is what each machine has to have, where that is asked.
        """
        live = self._place.account.live()
        by_run = Counter(one.run for one in live)
        named = outputs.get("deployment_id")
        ids = named if isinstance(named, dict) else {"main": named}
        for run in sorted(self._runs | set(by_run)):
            wanted = 1 if run in self._runs else 0
            if by_run[run] != wanted:
                self.violated(
                    f"after the mending up run {run} has {by_run[run]} live machines, not {wanted}"
                )
            elif wanted and ids.get(run) not in {one.id for one in live if one.run == run}:
                self.violated(
                    f"the output deployment_id of run {run} is {ids.get(run)}, "
                    "which is not its live machine"
                )
        for machine in live:
            if hours is not None and machine.deployment.duration_hours != hours:
                self.violated(
                    f"after the mending up run {machine.run} has "
                    f"{machine.deployment.duration_hours} hours, not {hours}"
                )
            if machine.deployment.status == "running":
                self._trains_what_is_wanted(machine)

    def after_destroy(self, *, of: str, last: bool = False) -> None:
        """Check that no machine is left and, at the last, no token."""
        live = [*self._place.account.live(), *self._place.other.live()]
        for run, number in sorted(Counter(one.run for one in live).items()):
            self.violated(f"after {of} run {run} still has {number} live machine(s)")
        if last and (left := self._place.tokens()):
            self.violated(f"after {of} {len(left)} API token(s) are left: {', '.join(left)}")

    def after_all(self) -> None:
        """Check the ledger's dollars; and outputs and plain state for every secret ever planted."""
        self._ledger_agrees()
        state = b"".join(
            path.read_bytes() for path in self._place.backends.rglob("*") if path.is_file()
        )
        for name, secret in self._place.planted_secrets.items():
            for command, output in self._outputs:
                if secret in output:
                    self.violated(f"{command} printed the {name}")
            if secret.encode() in state:
                self.violated(f"the {name} stands in plain state")
        for machine in self._machines():
            for puppet in self._place.account.puppets(machine):
                for why in dict.fromkeys(puppet.failures):
                    self.violated(f"a machine of run {machine.run} could not save: {why}")

    def _trains_what_is_wanted(self, machine: Machine) -> None:
        """Check the one container that lives on a machine, as its vendor and itself have it."""
        living = [one for one in self._place.account.puppets(machine) if one.lives]
        if len(living) != 1:
            self.violated(f"the machine of run {machine.run} runs {len(living)} containers")
        for puppet in living:
            if why := puppet.refused():
                self.violated(f"the machine of run {machine.run} cannot write: {why}")
            of_run = (self._place.configured("runs") or {}).get(machine.run) or {}
            wanted = of_run.get("recipeSettings", self._place.configured("recipeSettings"))
            if wanted is not None and dict(puppet.told.settings) != wanted:
                self.violated(f"run {machine.run} trains other settings than the wanted ones")
            shown = machine.deployment.env
            if any(puppet.environment.get(name) != value for name, value in shown.items()):
                self.violated(f"run {machine.run} has not the container that its machine shows")

    def _machines(self) -> list[Machine]:
        return [*self._place.account.machines(), *self._place.other.machines()]

    def _one_at_a_time(self, machines: list[Machine]) -> None:
        for one, other in itertools.combinations(machines, 2):
            if one.run == other.run and one.overlaps(other):
                self.violated(f"run {one.run} had two machines at the same time")

    def _charges(self, machines: list[Machine]) -> None:
        cap = int(self._place.configured("maxCostUsd"))
        for run, number in Counter(one.run for one in machines).items():
            allowed = self._allowed[run] + self._place.ended_machines
            allowed += self._place.account.faulty(run) + self._replaced_as_offered(run)
            if number > allowed:
                self.violated(f"run {run} was rented {number} times where {allowed} were asked for")
        for machine in machines:
            if machine.deployment.duration_hours > self._hours:
                self.violated(
                    f"run {machine.run} was given {machine.deployment.duration_hours} hours "
                    f"where {self._hours} were asked for"
                )
        for charge in self._place.charges.made[self._charges_seen :]:
            if charge.total > cap and charge.foreseeable:
                self.violated(
                    f"{charge.what} of run {charge.run} brought its cost to ${charge.total:.2f}, "
                    f"above the cap of ${cap}, at a price that could be known"
                )
        self._charges_seen = len(self._place.charges.made)

    def _replaced_as_offered(self, run: str) -> int:
        """Count machines that the vendor let run no other container, replaced as was said."""
        said = f"{run}: {OFFERED}"
        if not any(said in output for _, output in self._outputs):
            return 0
        entries = [
            one for page in self._place.pages() if page.owner.run == run for one in page.entries
        ]
        refused = [one for one in entries if one.restart_refused]
        if refused and not self._place.changes_are_refused:
            self.violated(f"a machine of run {run} was replaced where io.net refused no change")
        return len(refused)

    def _ledger_agrees(self) -> None:
        """Check each run's dollars to the cent, and that no machine is thought to live."""
        paid: dict[str, Decimal] = {}
        for machine in self._machines():
            paid[machine.run] = paid.get(machine.run, Decimal(0)) + machine.paid
        noted: dict[str, Decimal] = {}
        for page in self._place.pages():
            spent = sum((entry.spent_usd for entry in page.entries), Decimal(0))
            noted[page.owner.run] = noted.get(page.owner.run, Decimal(0)) + spent
            if page.open_entries():
                names = ", ".join(f"{one.name} {one.state}" for one in page.open_entries())
                self.violated(f"at the end the ledger thinks that it lives: {names}")
        for run in sorted(paid.keys() | noted.keys()):
            charged, told = paid.get(run, Decimal(0)), noted.get(run, Decimal(0))
            if charged.quantize(CENT) != told.quantize(CENT):
                self.violated(
                    f"the ledger says ${told:.2f} of run {run}, the vendor charged ${charged:.2f}"
                )

    def _nothing_is_lost(self) -> None:
        for account in (self._place.account, self._place.other):
            for puppet in list(account.runtime.puppets.values()):
                self._kept |= puppet.kept
        found = self._place.keys()  # after the puppets were asked: they go on writing
        self._kept |= {key for key in found if _is_durable(key)}
        for key in sorted(self._kept - found):
            self.violated(f"{key} was in the bucket and is lost")


def _is_durable(key: str) -> bool:
    return key.partition("/")[2].startswith(_DURABLE)
