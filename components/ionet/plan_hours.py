"""The hours of a live machine in a plan: what more are about, and those that nobody asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.ionet import machine_state, offers, properties, quote, session
from components.ionet.errors import ChangeRefusedError, IonetError
from components.ionet.planned import Props, budget_of, reading_of
from components.ionet.rental import automatic, extend
from components.ionet.rental.automatic import More
from components.ionet.rental.extension import Extension
from components.ledger.ledger import Reading
from components.r2 import status_reader


def extension(deployment_id: str, olds: Props, news: Props) -> Extension:
    """Return what an extension is about; raises ChangeRefusedError where nothing can be quoted."""
    old, new = properties.known(olds), properties.known(news)
    offer = machine_state.offer(olds)
    if offer is None:
        raise ChangeRefusedError(
            f"run {olds['run']}: its state does not tell what was rented, so more hours cannot be "
            "quoted. Set trainstack:durationHours back, or extend it in io.net's console."
        )
    return Extension(
        deployment_id=deployment_id,
        run=old["run"],
        offer=offer,
        old_hours=machine_state.hours_bought(old),
        new_hours=new["durationHours"],
        cap_usd=machine_state.cap_usd(news),
        max_usd_per_gpu_hour=machine_state.max_usd_per_gpu_hour(news),
    )


def more(
    deployment_id: str, olds: Props, news: Props, *, reading: Reading | None = None
) -> More | None:
    """Return what `autoExtend` is to buy for a live run; None where it buys none, or asks in vain.

    Without the bucket nothing is known of a run's end, and nothing is bought.
    """
    most = properties.known(news).get("autoExtend") or 0
    if not most:
        return None
    place = machine_state.place(olds)
    status = status_reader.newest(place, session.ways(olds))
    now = session.now()
    told = automatic.told_by(status, age_s=status_reader.age_s(status, now=now) if status else 0)
    if told is None or (reading := reading or reading_of(olds)) is None:
        return None
    machine = extension(deployment_id, olds, news)
    try:
        return automatic.look(
            session.client(olds["cloud"]),
            replace(machine, new_hours=machine.old_hours, automatic_most=most),
            told=told,
            page=reading.page,
            known=session.known(news["run"]),
            rented_at=machine_state.rented_at(olds),
            credentials_expire_on=machine_state.known_text(olds, "credentialsExpireOn"),
            now=now,
        )
    except IonetError as error:
        session.say(f"{machine.run}: whether it needs more hours is not known: {error}")
        return None


def is_extended(deployment_id: str, olds: Props, news: Props, *, reading: Reading | None) -> bool:
    """Say what `autoExtend` does for a run, and whether that is anything."""
    found = more(deployment_id, olds, news, reading=reading)
    if found is None:
        return False
    if found.why_not:
        session.say(found.why_not)
    if found.hours:
        session.say(f"{found.extension.run}: will not end in the bought time: autoExtend buys")
        left = budget_of(reading, news, besides=deployment_id)
        if left:
            extend.quote(
                session.client(olds["cloud"]), found.extension, others=left, say=session.say
            )
    return found.is_due


def waits_for_its_check(deployment_id: str, olds: Props) -> bool:
    """Whether only the first hours of a machine are bought, and whoever checks it buys the rest."""
    reading = reading_of(olds)
    entry = reading.page.entry_of(deployment_id) if reading else None
    return entry is not None and entry.hours < entry.planned_hours


def say_comparison(olds: Props, new: dict[str, Any]) -> None:
    """Say how the hours of a live machine compare with those that its recipe needs."""
    rented = machine_state.offer(olds)
    if rented is None:
        return
    needed = offers.hours_needed(rented.gpu, properties.wish(new))
    hours = machine_state.hours_bought(properties.known(olds))
    bought = f"{hours} h {'is' if hours == 1 else 'are'} bought"
    session.say(f"{new['run']}: {quote.compared(needed, bought=bought)}")
