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
    offers,
    plan_restart,
    properties,
    quote,
    session,
    stopping,
)
from components.ionet.change import Change
from components.ionet.client import Client
from components.ionet.errors import ChangeRefusedError, IonetError
from components.ionet.offers import Wish
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
from components.ionet.rental import account, automatic, extend, first_hours, others, restart
from components.ionet.rental.automatic import More
from components.ionet.rental.extension import Extension
from components.ionet.restart_plan import RestartPlan
from components.ledger import budget
from components.ledger.budget import Budget
from components.ledger.ledger import Reading
from components.ledger.page import Entry, Page
from components.r2 import status_reader
from container.contract.upstream import HUB_MIRROR

VANISHED = ("deployment",)
_WORDS = {  # a live machine keeps its own
    "image": "image",
    "STOP_GRACE_S": "stopGraceSeconds",
    HUB_MIRROR: "hubMirror",
    **{key: key for key in change.TOLD_KEYS},
}
READ_FOR_S = 8.0


def plan(deployment_id: str, olds: Props, news: Props) -> Plan:
    """Return what the update does; raises ChangeRefusedError with the remedy.

    A run that has its verdict is kept, unless another one is asked for. A machine that has ended
    before its hours were over is replaced; one that this account does not show is kept.
    """
    old, new = properties.known(olds), _wanted(olds, news)
    decision, reading = _decision(deployment_id, olds, news)
    if decision.kind == "replace":
        return _replaced(olds, new, decision)
    end = _end(deployment_id, olds, old)
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
        _say_comparison(olds, new)
    if decision.kind == "keep":
        if has_ended and stopping.is_left_stopped(olds):
            session.say(f"{new['run']}: {stopping.LEFT}")
            return Plan(kind="extend")
        found = more(deployment_id, olds, news) if end is None else None
        if _is_extended(found, deployment_id, olds, news):
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
    quote_extension(olds, extension(deployment_id, olds, news), reading=reading, news=news)
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


def extension(deployment_id: str, olds: Props, news: Props) -> Extension:
    """Return what an extension is about; raises ChangeRefusedError where nothing can be quoted."""
    old, new = properties.known(olds), properties.known(news)
    offer = properties.offer(olds)
    if offer is None:
        raise ChangeRefusedError(
            f"run {olds['run']}: its state does not tell what was rented, so more hours cannot be "
            "quoted. Set trainstack:durationHours back, or extend it in io.net's console."
        )
    return Extension(
        deployment_id=deployment_id,
        run=old["run"],
        offer=offer,
        old_hours=properties.hours_bought(old),
        new_hours=new["durationHours"],
        cap_usd=properties.cap_usd(news),
        max_usd_per_gpu_hour=properties.max_usd_per_gpu_hour(news),
    )


def more(deployment_id: str, olds: Props, news: Props) -> More | None:
    """Return what `autoExtend` is to buy for a live run; None where it buys none, or asks in vain.

    Without the bucket nothing is known of a run's end, and nothing is bought.
    """
    most = properties.known(news).get("autoExtend") or 0
    if not most:
        return None
    place = properties.place(olds)
    status = status_reader.newest(place, session.accesses(place, properties.access(olds)))
    now = session.now()
    told = automatic.told_by(status, age_s=status_reader.age_s(status, now=now) if status else 0)
    reading = _reading({**olds, "run": news["run"]}) if told else None
    if told is None or reading is None:
        return None
    machine = extension(deployment_id, olds, news)
    try:
        return automatic.look(
            session.client(olds["cloud"]),
            replace(machine, new_hours=machine.old_hours, automatic_most=most),
            told=told,
            page=reading.page,
            known=session.known(news["run"]),
            rented_at=properties.rented_at(olds),
            credentials_expire_on=properties.known_text(olds, "credentialsExpireOn"),
            now=now,
        )
    except IonetError as error:
        session.say(f"{machine.run}: whether it needs more hours is not known: {error}")
        return None


def _is_extended(found: More | None, deployment_id: str, olds: Props, news: Props) -> bool:
    """Say what `autoExtend` does for a run, and whether that is anything."""
    if found is None:
        return False
    if found.why_not:
        session.say(found.why_not)
    if found.hours:
        session.say(f"{found.extension.run}: will not end in the bought time: autoExtend buys")
        left = budget_of(_reading(news), news, besides=deployment_id)
        if left:
            extend.quote(
                session.client(olds["cloud"]), found.extension, others=left, say=session.say
            )
    return found.is_due


def waits_for_its_check(deployment_id: str, olds: Props) -> bool:
    """Whether only the first hours of a machine are bought, and whoever checks it buys the rest."""
    return any(one.hours < one.planned_hours for one in _entries(deployment_id, olds))


def require_no_other(client: Client, news: Props) -> Budget:
    """Refuse early what `create` would refuse: another machine of this run, of no state of ours.

    Returns what the run may still cost, all its rentals counted.
    """
    known, reading = session.known(news["run"]), _reading(news)
    if reading is None:
        page = Page(owner=properties.owner(news))
        return budget.of_page(page, cap_usd=properties.cap_usd(news), known=known)
    first_hours.require_attempt(
        reading.page,
        properties.known_text(news, "identity"),
        attempts=properties.known(news).get("attempts") or 0,
    )
    others.require_none(
        client,
        client.deployments(),
        reading,
        identity=properties.known_text(news, "identity"),
        bucket=properties.place(news).bucket,
        known={one.deployment_id for one in known},
    )
    return budget.of_page(reading.page, cap_usd=properties.cap_usd(news), known=known)


def without_bad_places(props: Props, wish: Wish) -> Wish:
    """Return a wish that leaves out where machines did not work, as far as that can be read."""
    try:
        place, access = properties.place(props), properties.access(props)
        bad = session.ledger(place, access, read_for_s=READ_FOR_S).bad_places()
    except TrainstackError as error:
        session.say(f"{props['run']}: {error} Where a machine did not work may be chosen again")
        return wish
    return replace(wish, bad=bad)


def _wanted(olds: Props, news: Props) -> dict[str, Any]:
    new = properties.known(news)
    if properties.leaves_hours_open(news):
        new[properties.HOURS] = properties.known(olds)[properties.HOURS]
        # also where fewer were rented than asked for
    return new


def _decision(deployment_id: str, olds: Props, news: Props) -> tuple[Change, Reading | None]:
    """Return what changed, and the run's page where that is of use.

    A machine that was told to run another container than its state knows is told again.
    """
    session.know(deployment_id, olds)
    rented = properties.offer(olds)
    decision = change.decide(
        properties.known(olds),
        _wanted(olds, news),
        country=rented.country if rented else "",
        gpu=rented.gpu if rented else None,
    )
    if decision.kind in ("replace", "refuse"):
        return decision, None
    reading = _reading({**olds, "run": news["run"]})
    if reading and restart.is_stale(olds, restart.entry_of(reading.page, deployment_id)):
        keys = (*decision.keys, change.INTERRUPTED)
        decision = replace(decision, kind="restart", keys=keys)
    return decision, reading


def _reading(props: Props) -> Reading | None:
    """Read the run's page for a plan; right before anything is bought the ledger must answer."""
    owner = properties.owner(props)
    try:
        place, access = properties.place(props), properties.access(props)
        return session.ledger(place, access, read_for_s=READ_FOR_S).read(owner)
    except TrainstackError as error:
        session.say(
            f"{owner.run}: {error} It must answer before anything is rented, and says then what "
            "the run has cost"
        )
        return None


def _replaced(olds: Props, new: dict[str, Any], decision: Change) -> Plan:
    verdict = None if decision.is_another_run else final_verdict(olds)
    if verdict and not (verdict.outcome == "failed" and decision.is_another_training):
        session.say(kept_by_verdict(new["run"], verdict, decision.names))
        return KEEP
    return Plan(kind="replace", keys=decision.keys)


def _end(deployment_id: str, olds: Props, old: dict[str, Any]) -> ending.End | None:
    """Return how the machine ended; None while it lives, or where that is not known."""
    listed = session.listed(old["cloud"])
    rows = listed.rows()
    if rows is None:
        return None
    name = properties.known_text(olds, "privateName")
    shown = account.look(listed.client, deployment_id, name=name, rows=rows)
    if shown.life == "unknown":
        session.say(ending.unknown(old["run"], deployment_id, account=listed.client.account))
    if shown.life != "ended":
        return None
    over = account.hours_are_over(
        account.details(listed.client, shown.deployment_id),
        hours=_hours_bought(deployment_id, olds),
        rented_at=properties.rented_at(olds),
        now=session.now(),
    )
    if over and _was_refused(deployment_id, olds):
        over = False  # it was given back
    return ending.end_of(session.verdict(olds), hours_over=over)


def _was_refused(deployment_id: str, olds: Props) -> bool:
    return any(one.refused for one in _entries(deployment_id, olds))


def _entries(deployment_id: str, olds: Props) -> list[Entry]:
    reading = _reading(olds)
    entries = reading.page.entries if reading else ()
    return [one for one in entries if one.deployment_id == deployment_id]


def _hours_bought(deployment_id: str, olds: Props) -> int:
    """Return the hours of a machine, those included that a watcher bought as the ledger knows."""
    reading = _reading(olds)
    entry = reading.page.entry_of(deployment_id) if reading else None
    return max(properties.hours_bought(properties.known(olds)), entry.hours if entry else 0)


def _say_comparison(olds: Props, new: dict[str, Any]) -> None:
    """Say how the hours of a live machine compare with those that its recipe needs."""
    rented = properties.offer(olds)
    if rented is None:
        return
    needed = offers.hours_needed(rented.gpu, properties.wish(new))
    hours = properties.hours_bought(properties.known(olds))
    bought = f"{hours} h {'is' if hours == 1 else 'are'} bought"
    session.say(f"{new['run']}: {quote.compared(needed, bought=bought)}")


def _kept(run: str, words: list[str]) -> str:
    what = " and ".join(words)
    return (
        f"{run}: keeps the {what} that it was rented with; what changed is for the next rental. To "
        "have it at once raise trainstack:renew: the same machine starts again with it, and goes "
        "on from the newest checkpoint."
    )
