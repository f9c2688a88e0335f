"""An update that lets a rented machine run another container: stopped, sent, extended, awaited."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from components.ionet import (
    cost,
    credentials,
    engine_watchdog,
    hours_told,
    machine_state,
    properties,
    run_tokens,
    session,
    stopping,
)
from components.ionet.client import Client
from components.ionet.errors import NotToldError
from components.ionet.properties import Rental
from components.ionet.rental import extend, restart, stop
from components.ionet.rental.restart import Restart
from components.ionet.restart_plan import RestartPlan
from components.ledger.ledger import Ledger
from components.r2.life_signs import LifeSign
from components.r2.verdict_reader import VerdictReader

Props = Mapping[str, Any]


def update(deployment_id: str, olds: Props, news: Props, *, planned: RestartPlan) -> dict[str, Any]:
    """Return the state of the machine once the new container has given a sign of life.

    Safe to repeat after any interruption. The container comes first: where the vendor refuses it,
    no hours are bought for it.
    """
    within_s = stop.within_s(os.environ)
    client = session.client(news["cloud"])
    bought = {
        machine_state.HOURS: planned.bought_hours,
        machine_state.OFFER: olds[machine_state.OFFER],
    }
    wanted = properties.rental({**news, **bought})
    credentials.require_lasting_credentials(
        wanted.credentials_expire_on,
        run=wanted.run,
        hours=planned.room.left_hours,
        now=session.now(),
    )
    asked = Restart(
        deployment_id=deployment_id,
        name=machine_state.known_text(olds, "privateName"),
        wanted=wanted,
        entry=machine_state.entry(deployment_id, olds, now=session.now()),
    )
    ledger = session.ledger(wanted.place, wanted.access)

    def life_sign() -> LifeSign:
        return session.life_sign(wanted.place, wanted.access)

    before = restart.restart(
        client,
        asked,
        ledger=ledger,
        life_sign=life_sign,
        set_aside=lambda: _set_failure_aside(wanted, news),
        stopped=lambda: stopping.stopped(
            olds,
            within_s=within_s
            if machine_state.place(olds).prefix == wanted.place.prefix
            else min(within_s, stopping.ABANDONED_WITHIN_S),
        ),
        say=session.say,
    )
    outs = {
        **olds,
        **news,
        machine_state.OFFER: bought[machine_state.OFFER],
        "privateName": asked.name,
    }
    outs |= machine_state.extended(news, bought=planned.hours)
    outs |= _extended(client, asked, planned, ledger=ledger)
    _tell_the_end(deployment_id, outs, hours=planned.hours)
    restart.wait_for_beat(
        client,
        asked,
        after=before,
        life_sign=life_sign,
        still_wanted=engine_watchdog.require_alive,
        say=session.say,
    )
    if news.get("accessKeyId") != olds.get("accessKeyId"):
        run_tokens.revoke_others(
            session.cloudflare_client(wanted.place.account_id),
            wanted.owner,
            identity=wanted.identity,
            kept=(wanted.access.access_key_id,),
            say=session.say,
        )
    return outs


def _set_failure_aside(wanted: Rental, news: Props) -> None:
    """Let the run go on whose failure was mended; another verdict is none of this."""
    verdict, place = session.verdict(news), wanted.place
    if verdict is not None and verdict.outcome == "failed":
        bucket = VerdictReader(wanted.access, endpoint=place.endpoint, bucket=place.bucket)
        bucket.set_aside_verdict(verdict, prefix=place.prefix)


def _extended(
    client: Client, asked: Restart, planned: RestartPlan, *, ledger: Ledger
) -> dict[str, Any]:
    """Buy the hours that are missing; return what the state has of them."""
    if planned.extension is None:
        return {}
    bought = extend.extend(
        client,
        planned.extension,
        ledger=ledger,
        owner=asked.wanted.owner,
        entry=asked.entry,
        known=session.known(asked.wanted.run),
        say=session.say,
    )
    return {
        machine_state.OFFER: dataclasses.replace(
            asked.wanted.offer, total_usd=bought.paid_usd
        ).to_text(),
        "estimatedCostUsd": cost.rounded(bought.paid_usd),
    }


def _tell_the_end(deployment_id: str, outs: Props, *, hours: int) -> None:
    try:
        hours_told.tell(deployment_id, outs, hours=hours)
    except NotToldError as error:
        raise NotToldError(
            f"{error} Run {outs['run']} does not know when its bought hours end. Run `pulumi up` "
            "again: it tells the run, and starts and buys nothing twice."
        ) from None
