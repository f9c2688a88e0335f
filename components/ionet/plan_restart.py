"""The plan of a change that lets the rented machine run another container, in words and dollars."""

from __future__ import annotations

from components.ionet import machine_state, restart_plan, session, what_changed
from components.ionet.change import Change
from components.ionet.errors import ChangeRefusedError
from components.ionet.planned import (
    KEEP,
    Plan,
    Props,
    budget_of,
    final_verdict,
    kept_by_verdict,
    quote_extension,
    resumes_at,
)
from components.ledger.budget import Budget
from components.ledger.ledger import Reading


def plan(
    deployment_id: str,
    olds: Props,
    news: Props,
    decision: Change,
    *,
    reading: Reading | None,
    ended: bool,
    tells: bool = True,
) -> Plan:
    """Return how the machine comes to another container, and say it with its dollars."""
    run, say = str(news["run"]), session.say if tells else _not_said
    verdict = final_verdict(olds)
    mended = verdict is not None and verdict.outcome == "failed" and decision.mends
    if verdict and (not mended or (ended and not decision.is_another_training)):
        say(kept_by_verdict(run, verdict, decision.names))
        return KEEP
    if ended:
        return Plan(kind="replace", keys=decision.keys)
    _require_not_trained(news, decision)
    entry = reading.page.entry_of(deployment_id) if reading else None
    if entry and entry.restart_refused:
        say(_refused_before(run, entry.restart_refused))
        return Plan(kind="replace", keys=decision.keys)
    others = budget_of(reading, news, besides=deployment_id)
    planned = restart_plan.plan(
        session.client(olds["cloud"]),
        deployment_id,
        olds,
        news,
        decision=decision,
        entry=entry,
        others=others or Budget(cap_usd=machine_state.cap_usd(news)),
    )
    changed = what_changed.changed(olds, news, decision)
    goes_on_from = "" if decision.is_another_training else resumes_at(olds) if tells else "there"
    say(f"{run}: {changed}: {restart_plan.in_words(planned, goes_on_from=goes_on_from)}")
    if planned.room.way == "replace":
        return Plan(kind="replace", keys=decision.keys)
    if planned.extension and tells:
        quote_extension(olds, planned.extension, reading=reading, news=news)
    return Plan(kind="restart", restart=planned)


def _require_not_trained(news: Props, decision: Change) -> None:
    """Refuse to begin a training that has its verdict, as after two changes there and back."""
    prefix = machine_state.known_text(news, "r2Prefix")
    if not (decision.is_another_training and prefix):
        return
    verdict = final_verdict(news)
    if verdict:
        raise ChangeRefusedError(
            f"run {news['run']} has trained just this before, and ended ({verdict.outcome}): "
            f"{prefix}. It is not trained again. To train it from the start raise "
            "trainstack:rerun, or change something else. The machine runs on."
        )


def _refused_before(run: str, why: str) -> str:
    return (
        f"{run}: io.net started no other container on this machine when it was asked ({why}): it "
        "is given back and another one is rented, at the price below"
    )


def _not_said(_text: str) -> None:
    return
