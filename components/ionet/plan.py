"""What an update does to a rented machine: what changed in the program, and what became of it.

Asks the account once a process, and the bucket where something ended; says what it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from components.errors import TrainstackError
from components.ionet import change, credentials, ending, offers, properties, quote, session
from components.ionet.change import Change
from components.ionet.client import Client
from components.ionet.errors import ChangeRefusedError, IonetError
from components.ionet.rental import account, automatic, extend, others
from components.ionet.rental.automatic import More
from components.ionet.rental.extension import Extension
from components.ledger import budget
from components.ledger.budget import Budget
from components.ledger.ledger import Reading
from components.ledger.page import Page
from components.r2 import checkpoint_reader, status_reader
from components.r2.verdict_reader import RunPlace
from container.contract.records import Verdict
from container.contract.still_rented import StillRented
from container.contract.upstream import HUB_MIRROR

Props = Mapping[str, Any]

VANISHED = ("deployment",)
_WORDS = {  # a live machine keeps its own
    "image": "image",
    "STOP_GRACE_S": "stopGraceSeconds",
    HUB_MIRROR: "hubMirror",
    **{key: key for key in change.TOLD_KEYS},
}
READ_FOR_S = 8.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """keep, extend in place, or replace because of these keys."""

    kind: Literal["keep", "extend", "replace"]
    keys: tuple[str, ...] = ()


KEEP = Plan(kind="keep")


def plan(deployment_id: str, olds: Props, news: Props) -> Plan:
    """Return what the update does; raises ChangeRefusedError with the remedy.

    A run that has its verdict is kept, unless another one is asked for. A machine that has ended
    before its hours were over is replaced; one that this account does not show is kept.
    """
    old, new = properties.known(olds), properties.known(news)
    if properties.leaves_hours_open(news):
        new[properties.HOURS] = old[properties.HOURS]  # also where fewer were rented than asked for
    session.know(deployment_id, olds)
    rented = properties.offer(olds)
    decision = change.decide(
        old,
        new,
        country=rented.country if rented else "",
        gpu=rented.gpu if rented else None,
    )
    waiting = [_WORDS[key] for key in decision.waiting if key in _WORDS]
    if waiting and decision.kind != "replace":
        session.say(_kept(new["run"], waiting))
    if decision.kind == "replace":
        return _replaced(olds, new, decision)
    end = _end(deployment_id, olds, old)
    if end == "vanished":
        resumes_at = _resumes_at(olds)
        session.say(ending.vanished(new["run"], deployment_id, resumes_at=resumes_at))
        return Plan(kind="replace", keys=VANISHED)
    if end == "hours over":
        text = ending.hours_over(new["run"], old["durationHours"], resumes_at=_resumes_at(olds))
        if decision.kind != "keep":
            raise ChangeRefusedError(text)
        session.say(text)
    if end is None and not _say_if_rented_for_nothing(deployment_id, olds, old):
        _say_comparison(olds, new)
    if decision.kind == "keep":
        if end is None and _is_extended(more(deployment_id, olds, news), deployment_id, olds, news):
            return Plan(kind="extend")
        if told := _budget(olds, news):
            session.say(f"{new['run']}: {told}")
        return KEEP
    verdict = final_verdict(olds)
    if verdict:
        session.say(_kept_by_verdict(new["run"], verdict, decision.names))
        return KEEP
    if decision.kind == "refuse":
        raise ChangeRefusedError(
            f"run {new['run']} cannot take a changed {', '.join(decision.names)}. {decision.remedy}"
        )
    _quote_extension(deployment_id, olds, news)
    return Plan(kind="extend")


def final_verdict(props: Props) -> Verdict | None:
    """Return the verdict that ended the run; one that was only stopped goes on."""
    verdict = session.verdict(props)
    return verdict if verdict and verdict.outcome != "stopped" else None


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
        others = _budget(olds, news, besides=deployment_id)
        if others:
            extend.quote(
                session.client(olds["cloud"]), found.extension, others=others, say=session.say
            )
    return found.is_due


def require_no_other(client: Client, news: Props) -> Budget:
    """Refuse early what `create` would refuse: another machine of this run, of no state of ours.

    Returns what the run may still cost, all its rentals counted.
    """
    known, reading = session.known(news["run"]), _reading(news)
    if reading is None:
        page = Page(owner=properties.owner(news))
        return budget.of_page(page, cap_usd=properties.cap_usd(news), known=known)
    others.require_none(
        client,
        client.deployments(),
        reading,
        identity=properties.known_text(news, "identity"),
        bucket=properties.place(news).bucket,
        known={one.deployment_id for one in known},
    )
    return budget.of_page(reading.page, cap_usd=properties.cap_usd(news), known=known)


def _budget(olds: Props, news: Props, *, besides: str = "") -> Budget | None:
    """Return what the run may still cost, without deployment `besides`; None: it cannot be read."""
    reading = _reading({**olds, "run": news["run"]})
    if reading is None:
        return None
    return budget.of_page(
        reading.page,
        cap_usd=properties.cap_usd(news),
        known=session.known(news["run"]),
        besides=besides,
    )


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
    if verdict:
        session.say(_kept_by_verdict(new["run"], verdict, decision.names))
        return KEEP
    if decision.is_for_credentials:
        session.say(ending.other_token(new["run"], resumes_at=_resumes_at(olds)))
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
    return ending.end_of(session.verdict(olds), hours_over=over)


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


def _say_if_rented_for_nothing(deployment_id: str, olds: Props, old: dict[str, Any]) -> bool:
    """Say that a machine is rented though its run has ended; whether it has, as far as known."""
    listed = session.listed(old["cloud"])
    if listed.rows() is None:
        return False
    place, stack = properties.place(olds), properties.known_text(olds, "stack")
    verdict = checkpoint_reader.ended_with(place, session.accesses(place, properties.access(olds)))
    if verdict is None:
        return False
    try:
        deployment = account.details(listed.client, deployment_id)
    except TrainstackError:
        return True
    if deployment is None or deployment.life == "ended":
        return True
    rented = StillRented(
        hours_left=account.hours_left(deployment),
        command=f"pulumi destroy{f' --stack {stack}' if stack else ''}",
        charged_usd=deployment.amount_paid_usd,
        hours_bought=properties.hours_bought(old),
        used_usd=verdict.dollars,
    )
    session.say(f"{old['run']}: {verdict.outcome}; {rented}")
    return True


def _quote_extension(deployment_id: str, olds: Props, news: Props) -> None:
    """Refuse what would cost more than the cap, or outlive the run's credentials."""
    wanted = extension(deployment_id, olds, news)
    client = session.client(olds["cloud"])
    left = account.remaining_hours(client, deployment_id, bought_hours=wanted.old_hours)
    credentials.require_lasting_credentials(
        properties.known_text(olds, "credentialsExpireOn"),
        run=wanted.run,
        hours=left + max(wanted.new_hours - wanted.old_hours, 0),
        now=session.now(),
    )
    if told := _budget(olds, news):
        session.say(f"{wanted.run}: {told}")
    reading = _reading({**olds, "run": news["run"]}) if told else None
    if reading is not None:
        wanted = wanted.as_recorded(reading.page)
    besides = _budget(olds, news, besides=deployment_id) or Budget(cap_usd=wanted.cap_usd)
    extend.quote(client, wanted, others=besides, say=session.say)


def _resumes_at(olds: Props) -> str:
    place: RunPlace = properties.place(olds)
    return checkpoint_reader.newest(place, session.accesses(place, properties.access(olds)))


def _kept(run: str, words: list[str]) -> str:
    what = " and ".join(words)
    return (
        f"{run}: keeps the {what} that it was rented with; what changed is for the next rental. To "
        "have it at once raise trainstack:renew, which gives this machine back and goes on from "
        "the newest checkpoint on another."
    )


def _kept_by_verdict(run: str, verdict: Verdict, names: tuple[str, ...]) -> str:
    return (
        f"{run}: has its verdict ({verdict.outcome}) and is not rented again, although "
        f"{', '.join(names)} changed. To train again: raise trainstack:rerun, or add a run of "
        "another name to trainstack:runs"
    )
