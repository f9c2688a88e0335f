"""What an update does to a rented machine: what changed in the program, and what became of it.

Asks the account once a process, and the bucket where something ended; says what it decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.errors import TrainstackError
from components.ionet import (
    change,
    ending,
    idle,
    machine_state,
    plan_hours,
    plan_restart,
    properties,
    session,
    stopping,
)
from components.ionet.change import Change
from components.ionet.client import Client
from components.ionet.errors import ChangeRefusedError
from components.ionet.offers import Wish
from components.ionet.planned import (
    KEEP,
    READ_FOR_S,
    Plan,
    Props,
    budget_of,
    final_verdict,
    kept_by_verdict,
    quote_extension,
    reading_of,
    resumes_at,
)
from components.ionet.rental import account, first_hours, others, restart
from components.ionet.restart_plan import RestartPlan
from components.ledger import budget
from components.ledger.budget import Budget
from components.ledger.ledger import Reading
from components.ledger.page import Page
from container.contract.upstream import HUB_MIRROR

VANISHED = ("deployment",)
_WORDS = {  # a live machine keeps its own
    "image": "image",
    "STOP_GRACE_S": "stopGraceSeconds",
    HUB_MIRROR: "hubMirror",
    **{key: key for key in change.TOLD_KEYS},
}


def plan(deployment_id: str, olds: Props, news: Props) -> Plan:
    """Return what the update does; raises ChangeRefusedError with the remedy.

    A run that has its verdict is kept, unless another one is asked for. A machine that has ended
    before its hours were over is replaced; one that this account does not show is kept.
    """
    old, new = properties.known(olds), _wanted(olds, news)
    decision, reading = _decision(deployment_id, olds, news)
    if decision.kind == "replace":
        return _replaced(olds, new, decision)
    end = _end(deployment_id, olds, old, reading=reading)
    waiting = [_WORDS[key] for key in decision.waiting if key in _WORDS]
    if waiting and end is None and decision.kind != "restart":
        session.say(_kept(new["run"], waiting))
    if decision.kind == "restart" and end != "vanished":
        return plan_restart.plan(
            deployment_id, olds, news, decision, reading=reading, ended=bool(end)
        )
    if end == "vanished":
        told = ending.vanished(new["run"], deployment_id, resumes_at=resumes_at(olds))
        session.say(told)
        return Plan(kind="replace", keys=VANISHED)
    if end == "hours over":
        text = ending.hours_over(
            new["run"],
            old["durationHours"],
            resumes_at=resumes_at(olds),
            renew=int(new.get(change.RENEW) or 0),
        )
        if decision.kind != "keep":
            raise ChangeRefusedError(text)
        session.say(text)
    has_ended = end is None and idle.say(deployment_id, olds)
    if end is None and not has_ended:
        plan_hours.say_comparison(olds, new)
    if decision.kind == "keep":
        if has_ended and stopping.is_left_stopped(olds):
            session.say(f"{new['run']}: {stopping.LEFT}")
            return Plan(kind="extend")
        if end is None and plan_hours.is_extended(deployment_id, olds, news, reading=reading):
            return Plan(kind="extend")
        if told := budget_of(reading, news):
            session.say(f"{new['run']}: {told}")
        return KEEP
    verdict = final_verdict(olds)
    if verdict:
        session.say(kept_by_verdict(new["run"], verdict, decision.names))
        return KEEP
    if decision.kind == "refuse":
        raise ChangeRefusedError(
            f"run {new['run']} cannot take a changed {', '.join(decision.names)}. {decision.remedy}"
        )
    wanted = plan_hours.extension(deployment_id, olds, news)
    quote_extension(olds, wanted, reading=reading, news=news)
    return Plan(kind="extend")


def restarted(deployment_id: str, olds: Props, news: Props) -> RestartPlan | None:
    """Return what an update that restarts takes, right before; None where it only extends.

    Raises ChangeRefusedError where it came to something else since it was planned.
    """
    decision, reading = _decision(deployment_id, olds, news)
    if decision.kind != "restart":
        return None
    found = plan_restart.plan(
        deployment_id, olds, news, decision, reading=reading, ended=False, tells=False
    )
    if found.restart is None:
        raise ChangeRefusedError(
            f"run {news['run']}: what this change does is not what was planned any more. Nothing "
            "was changed. Run `pulumi up` again."
        )
    return found.restart


def ended_early(deployment_id: str, props: Props) -> bool:
    """Tell whether a machine has ended, before its hours were over, and left its run unfinished."""
    return _end(deployment_id, props, properties.known(props)) == "vanished"


def require_no_other(client: Client, news: Props) -> Budget:
    """Refuse early what `create` would refuse: another machine of this run, of no state of ours.

    Returns what the run may still cost, all its rentals counted.
    """
    known, reading = session.known(news["run"]), reading_of(news)
    if reading is None:
        page = Page(owner=machine_state.owner(news))
        return budget.of_page(page, cap_usd=machine_state.cap_usd(news), known=known)
    first_hours.require_attempt(
        reading.page,
        machine_state.known_text(news, "identity"),
        attempts=properties.known(news).get("attempts") or 0,
    )
    others.require_none(
        client,
        client.deployments(),
        reading,
        identity=machine_state.known_text(news, "identity"),
        bucket=machine_state.place(news).bucket,
        known={one.deployment_id for one in known},
    )
    return budget.of_page(reading.page, cap_usd=machine_state.cap_usd(news), known=known)


def without_bad_places(props: Props, wish: Wish) -> Wish:
    """Return a wish that leaves out where machines did not work, as far as that can be read."""
    try:
        place, access = machine_state.place(props), machine_state.access(props)
        bad = session.ledger(place, access, read_for_s=READ_FOR_S).bad_places()
    except TrainstackError as error:
        session.say(f"{props['run']}: {error} Where a machine did not work may be chosen again")
        return wish
    return replace(wish, bad=bad)


def _wanted(olds: Props, news: Props) -> dict[str, Any]:
    new = properties.known(news)
    if properties.leaves_hours_open(news):
        new[machine_state.HOURS] = properties.known(olds)[machine_state.HOURS]
        # also where fewer were rented than asked for
    return new


def _decision(deployment_id: str, olds: Props, news: Props) -> tuple[Change, Reading | None]:
    """Return what changed, and the run's page where that is of use.

    A machine that was told to run another container than its state knows is told again.
    """
    session.know(deployment_id, olds)
    rented = machine_state.offer(olds)
    decision = change.decide(
        properties.known(olds),
        _wanted(olds, news),
        country=rented.country if rented else "",
        gpu=rented.gpu if rented else None,
    )
    if decision.kind in ("replace", "refuse"):
        return decision, None
    reading = reading_of({**olds, "run": news["run"]})
    if reading and restart.is_stale(olds, reading.page.entry_of(deployment_id)):
        keys = (*decision.keys, change.INTERRUPTED)
        decision = replace(decision, kind="restart", keys=keys)
    return decision, reading


def _replaced(olds: Props, new: dict[str, Any], decision: Change) -> Plan:
    verdict = None if decision.is_another_run else final_verdict(olds)
    if verdict and not (verdict.outcome == "failed" and decision.is_another_training):
        session.say(kept_by_verdict(new["run"], verdict, decision.names))
        return KEEP
    return Plan(kind="replace", keys=decision.keys)


def _end(
    deployment_id: str, olds: Props, old: dict[str, Any], *, reading: Reading | None = None
) -> ending.End | None:
    """Return how the machine ended; None while it lives, or where that is not known."""
    listed = session.listed(old["cloud"])
    rows = listed.rows()
    if rows is None:
        return None
    name = machine_state.known_text(olds, "privateName")
    shown = account.look(listed.client, deployment_id, name=name, rows=rows)
    if shown.life == "unknown":
        session.say(ending.unknown(old["run"], deployment_id, account=listed.client.account))
    if shown.life != "ended":
        return None
    found = reading or reading_of(olds)
    entry = found.page.entry_of(deployment_id) if found else None
    over = account.hours_are_over(
        account.details(listed.client, shown.deployment_id),
        # Those included that a watcher bought, as the ledger knows.
        hours=max(machine_state.hours_bought(old), entry.hours if entry else 0),
        rented_at=machine_state.rented_at(olds),
        now=session.now(),
    )
    if entry is not None and entry.refused:
        over = False  # it was given back
    return ending.end_of(session.verdict(olds), hours_over=over)


def _kept(run: str, words: list[str]) -> str:
    what = " and ".join(words)
    return (
        f"{run}: keeps the {what} that it was rented with; what changed is for the next rental. To "
        "have it at once raise trainstack:renew: the same machine starts again with it, and goes "
        "on from the newest checkpoint."
    )
