"""Which runs that have ended still have a machine: asks io.net where there is a key.

For commands that look at runs: an account that is not asked, or does not answer, keeps none of them
from showing what it can, and is said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from container.contract.still_rented import StillRented
from runs import machines
from runs.errors import RunsError
from runs.machines import Machine
from runs.source.source import Source
from runs.terminal.console import say
from runs.view.standing import View

READ_TIMEOUT_S = 10.0  # a person waits, and came for something else
RETRY_FOR_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One run that has ended, as far as this needs it."""

    run: str
    prefix: str
    used_usd: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """The machines by prefix; or why nobody was asked."""

    rented: Mapping[str, StillRented] = field(default_factory=dict[str, StillRented])
    not_asked: str = ""


def ask(source: Source, runs: Collection[Ended]) -> Found:
    """Ask io.net for the machines of these runs; nobody, where there are none."""
    if not runs:
        return Found()
    try:
        machines.check_world(source)
        client = machines.open_client(
            source, read_timeout_s=READ_TIMEOUT_S, retry_for_s=RETRY_FOR_S
        )
        rows = machines.living(client)
        listed = machines.machines(client, rows, known=None)
    except RunsError as error:
        why = str(error).splitlines()[0].rstrip(".")
        return Found(not_asked=f"whether a machine is still rented was not asked: {why}.")
    return Found(rented={run.prefix: one for run in runs if (one := of_run(run, listed))})


def ended_of(view: View) -> Ended | None:
    """Return a run that has ended, by its verdict or by its machine; None while it may train."""
    if view.standing not in ("succeeded", "failed", "stopped"):
        return None
    return Ended(run=view.run, prefix=view.prefix, used_usd=view.dollars)


def of_run(run: Ended, listed: Collection[Machine]) -> StillRented | None:
    """Return what is said of a run's machine, None where the account lists none."""
    for machine in listed:
        if machine.is_of(run.prefix):
            return StillRented(
                hours_left=machine.hours_left,
                command=f"python -m runs stop {run.prefix}",
                charged_usd=machine.paid_usd,
                hours_bought=machine.hours_bought,
                used_usd=run.used_usd,
            )
    return None


def say_rented(found: Found, runs: Sequence[tuple[str, str]]) -> None:
    """Say it of each run (prefix, name) that has a machine; and once where nobody was asked."""
    for prefix, run in runs:
        if one := found.rented.get(prefix):
            say(f"{run}: {one}", style="yellow")
    if found.not_asked:
        say(found.not_asked)


def as_json(one: StillRented | None) -> dict[str, object] | None:
    """Return it as the object that `--json` prints; money as decimal text."""
    if one is None:
        return None
    fewest, most = one.hours_left or (None, None)
    return {
        "hours_left_at_least": None if fewest is None else round(fewest, 2),
        "hours_left_at_most": None if most is None else round(most, 2),
        "charged_usd": None if one.charged_usd is None else str(one.charged_usd),
        "command": one.command,
    }
