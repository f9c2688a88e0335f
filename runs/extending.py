"""Buys hours for runs that say that they will not end in time: `runs watch --extend`.

The one thing that `runs` buys, asked for by that word and by the stack's `autoExtend`. What is
bought is decided where `pulumi up` decides it: components/ionet/rental/automatic.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from components.config.quotable import quotable_runs
from components.config.run_settings import RunSettings
from components.errors import TrainstackError
from components.ionet import machine_state, more_hours
from components.ionet.client import Client
from components.ionet.offers import Offer
from components.ionet.rental import automatic, bought_time, extend
from components.ionet.rental.extension import Extension
from components.ledger.ledger import Ledger
from container.contract.dollars import dollars
from runs import rentals
from runs.errors import SettingMissingError
from runs.source.source import Source
from runs.terminal.console import say
from runs.view.standing import View

AGAIN_AFTER_S = 60.0  # so long what was asked for a run is not asked again
DEPLOYMENT = ":CaasDeployment"  # how the type of a rented machine ends in a stack's state


State = Mapping[str, Any]


def machines(resources: Sequence[State]) -> dict[str, State]:
    """Return the machines of a stack's state by ID; none without an offer, or of before stacks."""
    found: dict[str, State] = {}
    for resource in resources:
        outputs: State = resource.get("outputs") or {}
        is_one = str(resource.get("type", "")).endswith(DEPLOYMENT) and resource.get("id")
        if is_one and isinstance(outputs.get("offer"), str) and outputs.get("stack"):
            found[str(resource["id"])] = outputs
    return found


@dataclass(kw_only=True)
class Extender:
    """Looks at the runs of one stack that are watched; buys for each at most once a minute."""

    source: Source
    client: Client
    runs: Mapping[str, RunSettings]
    ledger: Ledger
    asked: dict[str, float] = field(default_factory=dict[str, float])
    said: set[str] = field(default_factory=set[str])

    @classmethod
    def of(cls, source: Source, client: Client) -> Extender:
        """Return one for the stack that is named; raises SettingMissingError where it allows none.

        Says what may be bought, before anything is.
        """
        if source.selector.bucket and not source.selector.stack:
            raise SettingMissingError(
                "--extend needs the stack, whose config says what may be bought: --stack NAME"
            )
        try:
            runs = quotable_runs(source.config, stack=source.selector.stack_name)
        except TrainstackError as error:
            raise SettingMissingError(str(error)) from None
        willing = {run.name: run for run in runs if run.auto_extend}
        if not willing:
            raise SettingMissingError(
                "--extend buys nothing: this stack allows no hours. To allow some: pulumi config "
                "set trainstack:autoExtend 2"
            )
        for run in willing.values():
            say(
                f"{run.name}: where it will not end in the bought time, up to {run.auto_extend} h "
                f"more in all are bought, never beyond its budget of {dollars(run.max_cost_usd)}"
            )
        ledger = rentals.ledger(source.s3_access, bucket=source.bucket)
        return cls(source=source, client=client, runs=willing, ledger=ledger)

    def look(self, views: Sequence[View], *, now_s: float) -> None:
        """Buy for each run that says that it will not end in time; says what fails, raises not."""
        for view in views:
            if view.run not in self.runs or not _asks(view):
                continue
            if now_s - self.asked.get(view.prefix, -AGAIN_AFTER_S) < AGAIN_AFTER_S:
                continue
            self.asked[view.prefix] = now_s
            try:
                self._extend(view, run=self.runs[view.run])
            except TrainstackError as error:
                self._say_once(f"{view.run}: {error}")

    def _extend(self, view: View, *, run: RunSettings) -> None:
        told = automatic.told_by(view.status, age_s=view.beat_age_s or 0.0)
        found = machines(self.source.read_state())
        of_view = [(one, state) for one, state in found.items() if _prefix(state) == view.prefix]
        if told is None or not of_view:
            return
        deployment_id, state = of_view[0]
        owner, rented_at = machine_state.owner(state), machine_state.rented_at(state)
        known = [
            machine_state.known_rental(one, other)
            for one, other in found.items()
            if machine_state.owner(other) == owner
        ]
        wanted = _extension(deployment_id, state, run)
        now = datetime.now(UTC)
        more = automatic.look(
            self.client,
            wanted,
            told=told,
            page=self.ledger.read(owner).page,
            known=known,
            rented_at=rented_at,
            credentials_expire_on=machine_state.known_text(state, "credentialsExpireOn"),
            now=now,
        )
        if more.why_not:
            self._say_once(more.why_not)
        if not more.is_due:
            return
        bought = extend.extend(
            self.client,
            more.extension,
            ledger=self.ledger,
            owner=owner,
            entry=machine_state.entry(deployment_id, state, now=now),
            known=known,
            say=say,
        )
        bought_time.tell(
            self.client,
            deployment_id,
            name=machine_state.known_text(state, "privateName"),
            hours=bought.hours,
            rented_at=rented_at,
            place=machine_state.place(state),
            accesses=[lambda: self.source.s3_access],
        )
        say(
            f"{view.run}: its machine is paid for {bought.hours} h in all, "
            f"{dollars(bought.paid_usd)}; the run was told"
        )

    def _say_once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            say(text, style="yellow")


def _asks(view: View) -> bool:
    """Whether a run that lives says that its hours may not do, by what it knows of them."""
    if view.standing not in ("running", "quiet"):
        return False
    told = automatic.told_by(view.status, age_s=view.beat_age_s or 0.0)
    return told is not None and more_hours.missing(told, left_s=told.left_s) > 0


def _prefix(state: State) -> str:
    return machine_state.place(state).prefix


def _extension(deployment_id: str, state: State, run: RunSettings) -> Extension:
    hours = machine_state.hours_bought(state)
    return Extension(
        deployment_id=deployment_id,
        run=run.name,
        offer=Offer.from_text(state[machine_state.OFFER]),
        old_hours=hours,
        new_hours=hours,
        cap_usd=run.max_cost_usd,
        max_usd_per_gpu_hour=Decimal(run.max_usd_per_gpu_hour),
        automatic_most=run.auto_extend,
    )
