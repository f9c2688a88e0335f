"""What a plan is, and what all plans ask: the run's verdict, its budget, the quote of hours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.errors import TrainstackError
from components.ionet import credentials, machine_state, session
from components.ionet.rental import account, extend
from components.ionet.rental.extension import Extension
from components.ionet.restart_plan import RestartPlan
from components.ledger import budget
from components.ledger.budget import Budget
from components.ledger.ledger import Reading
from components.r2 import checkpoint_reader
from components.r2.verdict_reader import RunPlace
from container.contract.records import Verdict

Props = Mapping[str, Any]

READ_FOR_S = 8.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """keep, extend or start again in place, or replace because of these keys."""

    kind: Literal["keep", "extend", "restart", "replace"]
    keys: tuple[str, ...] = ()
    restart: RestartPlan | None = None


KEEP = Plan(kind="keep")


def final_verdict(props: Props) -> Verdict | None:
    """Return the verdict that ended the run; one that was only stopped goes on."""
    verdict = session.verdict(props)
    return verdict if verdict and verdict.outcome != "stopped" else None


def reading_of(props: Props) -> Reading | None:
    """Read the run's page for a plan; right before anything is bought the ledger must answer."""
    owner = machine_state.owner(props)
    try:
        place, access = machine_state.place(props), machine_state.access(props)
        return session.ledger(place, access, read_for_s=READ_FOR_S).read(owner)
    except TrainstackError as error:
        session.say(
            f"{owner.run}: {error} It must answer before anything is rented, and says then what "
            "the run has cost"
        )
        return None


def budget_of(reading: Reading | None, news: Props, *, besides: str = "") -> Budget | None:
    """Return what the run may still cost, without deployment `besides`; None: it cannot be read."""
    if reading is None:
        return None
    return budget.of_page(
        reading.page,
        cap_usd=machine_state.cap_usd(news),
        known=session.known(news["run"]),
        besides=besides,
    )


def quote_extension(
    olds: Props, wanted: Extension, *, reading: Reading | None, news: Props
) -> None:
    """Refuse what would cost more than the cap, or outlive the run's credentials."""
    client = session.client(olds["cloud"])
    left = account.remaining_hours(client, wanted.deployment_id, bought_hours=wanted.old_hours)
    credentials.require_lasting_credentials(
        machine_state.known_text(olds, "credentialsExpireOn"),
        run=wanted.run,
        hours=left + max(wanted.new_hours - wanted.old_hours, 0),
        now=session.now(),
    )
    if told := budget_of(reading, news):
        session.say(f"{wanted.run}: {told}")
    if reading is not None:
        wanted = wanted.as_recorded(reading.page)
    besides = budget_of(reading, news, besides=wanted.deployment_id)
    extend.quote(client, wanted, others=besides or Budget(cap_usd=wanted.cap_usd), say=session.say)


def resumes_at(olds: Props) -> str:
    place: RunPlace = machine_state.place(olds)
    return checkpoint_reader.newest(place, session.ways(olds))


def kept_by_verdict(run: str, verdict: Verdict, names: tuple[str, ...]) -> str:
    return (
        f"{run}: has its verdict ({verdict.outcome}) and is not rented again, although "
        f"{', '.join(names)} changed. To train again: raise trainstack:rerun, or add a run of "
        "another name to trainstack:runs"
    )
