"""What an update does to a rented machine: what changed in the program, and what became of it.

Asks the account once a process, and the bucket where something ended; says what it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from components.errors import TrainstackError
from components.ionet import (
    change,
    credentials,
    ending,
    properties,
    restart_plan,
    session,
    what_changed,
)
from components.ionet.change import Change
from components.ionet.client import Client
from components.ionet.errors import ChangeRefusedError
from components.ionet.rental import account, extend, others, restart
from components.ionet.rental.extend import Extension
from components.ionet.restart_plan import RestartPlan
from components.ledger import budget
from components.ledger.budget import Budget
from components.ledger.ledger import Reading
from components.ledger.page import Page
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
    """keep, extend or start again in place, or replace because of these keys."""

    kind: Literal["keep", "extend", "restart", "replace"]
    keys: tuple[str, ...] = ()
    restart: RestartPlan | None = None


KEEP = Plan(kind="keep")


def plan(deployment_id: str, olds: Props, news: Props) -> Plan:
    """Return what the update does; raises ChangeRefusedError with the remedy.

    A run that has its verdict is kept, unless another one is asked for. A machine that has ended
    before its hours were over is replaced; one that this account does not show is kept.
    """
    old, new = properties.known(olds), _wanted(olds, news)
    decision, reading = _decision(deployment_id, olds, news)
    waiting = [_WORDS[key] for key in decision.waiting if key in _WORDS]
    if waiting and decision.kind not in ("replace", "restart"):
        session.say(_kept(new["run"], waiting))
    if decision.kind == "replace":
        return _replaced(olds, new, decision)
    end = _end(deployment_id, olds, old)
    if decision.kind == "restart" and end != "vanished":
        return _restarted(deployment_id, olds, news, decision, reading=reading, ended=bool(end))
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
        if told := _budget(reading, news):
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
    _quote_extension(olds, extension(deployment_id, olds, news), reading=reading, news=news)
    return Plan(kind="extend")


def restarted(deployment_id: str, olds: Props, news: Props) -> RestartPlan | None:
    """Return what an update that restarts takes, right before; None where it only extends.

    Raises ChangeRefusedError where it came to something else since it was planned.
    """
    decision, reading = _decision(deployment_id, olds, news)
    if decision.kind != "restart":
        return None
    found = _restarted(
        deployment_id, olds, news, decision, reading=reading, ended=False, tells=False
    )
    if found.restart is None:
        raise ChangeRefusedError(
            f"run {news['run']}: what this change does is not what was planned any more. Nothing "
            "was changed. Run `pulumi up` again."
        )
    return found.restart


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


def _budget(reading: Reading | None, news: Props, *, besides: str = "") -> Budget | None:
    """Return what the run may still cost, without deployment `besides`; None: it cannot be read."""
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
    if verdict and not (verdict.outcome == "failed" and decision.is_another_training):
        session.say(_kept_by_verdict(new["run"], verdict, decision.names))
        return KEEP
    return Plan(kind="replace", keys=decision.keys)


def _restarted(
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
        say(_kept_by_verdict(run, verdict, decision.names))
        return KEEP
    if ended:
        return Plan(kind="replace", keys=decision.keys)
    _require_not_trained(news, decision)
    entry = restart.entry_of(reading.page, deployment_id) if reading else None
    if entry and entry.restart_refused:
        say(_refused_before(run, entry.restart_refused))
        return Plan(kind="replace", keys=decision.keys)
    others = _budget(reading, news, besides=deployment_id)
    planned = restart_plan.plan(
        session.client(olds["cloud"]),
        deployment_id,
        olds,
        news,
        decision=decision,
        entry=entry,
        others=others or Budget(cap_usd=properties.cap_usd(news)),
    )
    changed = what_changed.changed(olds, news, decision)
    goes_on_from = "" if decision.is_another_training else _resumes_at(olds) if tells else "there"
    say(f"{run}: {changed}: {restart_plan.in_words(planned, goes_on_from=goes_on_from)}")
    if planned.room.way == "replace":
        return Plan(kind="replace", keys=decision.keys)
    if planned.extension and tells:
        _quote_extension(olds, planned.extension, reading=reading, news=news)
    return Plan(kind="restart", restart=planned)


def _require_not_trained(news: Props, decision: Change) -> None:
    """Refuse to begin a training that has its verdict, as after two changes there and back."""
    if not (decision.is_another_training and properties.known_text(news, "r2Prefix")):
        return
    verdict = final_verdict(news)
    if verdict:
        raise ChangeRefusedError(
            f"run {news['run']} has trained just this before, and ended ({verdict.outcome}): "
            f"{properties.known_text(news, 'r2Prefix')}. It is not trained again. To train it from "
            "the start raise trainstack:rerun, or change something else. The machine runs on."
        )


def _not_said(_text: str) -> None:
    return


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
    return ending.end_of(session.verdict(olds), hours_over=over)


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


def _quote_extension(
    olds: Props, wanted: Extension, *, reading: Reading | None, news: Props
) -> None:
    """Refuse what would cost more than the cap, or outlive the run's credentials."""
    client = session.client(olds["cloud"])
    left = account.remaining_hours(client, wanted.deployment_id, bought_hours=wanted.old_hours)
    credentials.require_lasting_credentials(
        properties.known_text(olds, "credentialsExpireOn"),
        run=wanted.run,
        hours=left + wanted.new_hours - wanted.old_hours,
        now=session.now(),
    )
    if told := _budget(reading, news):
        session.say(f"{wanted.run}: {told}")
    besides = _budget(reading, news, besides=wanted.deployment_id)
    extend.quote(client, wanted, others=besides or Budget(cap_usd=wanted.cap_usd), say=session.say)


def _resumes_at(olds: Props) -> str:
    place: RunPlace = properties.place(olds)
    return checkpoint_reader.newest(place, session.accesses(place, properties.access(olds)))


def _kept(run: str, words: list[str]) -> str:
    what = " and ".join(words)
    return (
        f"{run}: keeps the {what} that it was rented with; what changed is for the next rental. To "
        "have it at once raise trainstack:renew: the same machine starts again with it, and goes "
        "on from the newest checkpoint."
    )


def _refused_before(run: str, why: str) -> str:
    return (
        f"{run}: io.net started no other container on this machine when it was asked ({why}): it "
        "is given back and another one is rented, at the price below"
    )


def _kept_by_verdict(run: str, verdict: Verdict, names: tuple[str, ...]) -> str:
    return (
        f"{run}: has its verdict ({verdict.outcome}) and is not rented again, although "
        f"{', '.join(names)} changed. To train again: raise trainstack:rerun, or add a run of "
        "another name to trainstack:runs"
    )
