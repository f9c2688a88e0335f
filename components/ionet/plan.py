"""What an update does to a rented machine: what changed in the program, and what became of it.

Asks the account once a process, and the bucket where something ended; says what it decides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.errors import TrainstackError
from components.ionet import change, credentials, ending, properties, session
from components.ionet.change import Change
from components.ionet.client import Client
from components.ionet.errors import ChangeRefusedError
from components.ionet.offers import Wish
from components.ionet.rental import account, extend, first_hours, others
from components.ionet.rental.extend import Extension
from components.ledger import budget
from components.ledger.budget import Budget
from components.ledger.ledger import Reading
from components.ledger.page import Entry, Page
from components.r2 import checkpoint_reader
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
    if end is None:
        _say_if_rented_for_nothing(deployment_id, olds, old)
    if decision.kind == "keep":
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
        old_hours=old["durationHours"],
        new_hours=new["durationHours"],
        cap_usd=properties.cap_usd(news),
    )


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
    return dataclasses.replace(wish, bad=bad)


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
        hours=old["durationHours"],
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


def _say_if_rented_for_nothing(deployment_id: str, olds: Props, old: dict[str, Any]) -> None:
    """Say that a machine is rented though its run has ended; nothing where that is not known."""
    listed = session.listed(old["cloud"])
    if listed.rows() is None:
        return
    place, stack = properties.place(olds), properties.known_text(olds, "stack")
    verdict = checkpoint_reader.ended_with(place, session.accesses(place, properties.access(olds)))
    if verdict is None:
        return
    try:
        deployment = account.details(listed.client, deployment_id)
    except TrainstackError:
        return
    if deployment is None or deployment.life == "ended":
        return
    rented = StillRented(
        hours_left=account.hours_left(deployment),
        command=f"pulumi destroy{f' --stack {stack}' if stack else ''}",
        charged_usd=deployment.amount_paid_usd,
        hours_bought=old["durationHours"],
        used_usd=verdict.dollars,
    )
    session.say(f"{old['run']}: {verdict.outcome}; {rented}")


def _quote_extension(deployment_id: str, olds: Props, news: Props) -> None:
    """Refuse what would cost more than the cap, or outlive the run's credentials."""
    wanted = extension(deployment_id, olds, news)
    client = session.client(olds["cloud"])
    left = account.remaining_hours(
        client, deployment_id, bought_hours=properties.known(olds)["durationHours"]
    )
    credentials.require_lasting_credentials(
        properties.known_text(olds, "credentialsExpireOn"),
        run=wanted.run,
        hours=left + wanted.new_hours - wanted.old_hours,
        now=session.now(),
    )
    if told := _budget(olds, news):
        session.say(f"{wanted.run}: {told}")
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
