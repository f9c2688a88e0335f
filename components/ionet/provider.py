"""The dynamic providers: decode, call, encode. THIS PATH IS FROZEN: the stack's state names it.

No state on `self`: the objects are pickled by reference into the state.
"""

from __future__ import annotations

import secrets
from typing import Any

from pulumi.dynamic import (
    CheckFailure,
    CheckResult,
    ConfigureRequest,
    CreateResult,
    DiffResult,
    ReadResult,
    ResourceProvider,
    UpdateResult,
)

from components.errors import TrainstackError
from components.ionet import (
    change,
    cost,
    credentials,
    engine_watchdog,
    market,
    properties,
    readiness,
    rental,
    session,
)
from components.ionet.errors import ChangeRefusedError, NotReadyError
from components.r2.verdict_reader import VerdictReader
from container.contract.records import Verdict

IDENTITY_BYTES = 4
ACCESS_TOKEN_BYTES = 24
IDENTITY_OUTPUTS = ("accessToken",)
DEPLOYMENT_OUTPUTS = ("estimatedCostUsd", "priceUsdPerHour")
READY_OUTPUTS = ("statusUrl",)


class RunIdentityProvider(ResourceProvider):
    """A random name for one run, stored before anything is rented for it."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Remember the stack's secrets for this process."""
        session.remember(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Accept everything: the program makes these inputs."""
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Replace when `rerun` was changed."""
        keys = [key for key in ("run", "rerun") if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(keys), replaces=keys, delete_before_replace=False)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Draw the identity, and the bearer token of the run's chat."""
        outs = {**props, "accessToken": secrets.token_urlsafe(ACCESS_TOKEN_BYTES)}
        return CreateResult(secrets.token_hex(IDENTITY_BYTES), outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the state as it is: nothing outside it can change."""
        return ReadResult(id_, props, properties.inputs_of(props, outputs=IDENTITY_OUTPUTS))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Keep the outputs; nothing of an identity can be updated."""
        return UpdateResult({**_olds, **_news})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Give back what bears the identity and is in no state: an engine killed while it rented.

        The deployment that the state knows was deleted before, as it depends on this.
        """
        stem = _props.get("nameStem")
        if not stem:
            return  # made before identities knew their names: such a stack must still destroy
        rental.give_back_all(session.client(_props["cloud"]), f"{stem}-{_id}-", say=session.say)


class CaasDeploymentProvider(ResourceProvider):
    """One rented container of io.net."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Remember the stack's secrets for this process."""
        session.remember(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Choose the offer, once: a moving market never changes a machine that is rented."""
        kept = _olds.get(properties.OFFER)
        if kept:
            # A change that replaces the machine is checked again, then without olds.
            return CheckResult({**news, properties.OFFER: kept}, [])
        wish, cap_usd = properties.wish(news), int(news["maxCostUsd"])
        expire_on = properties.known_text(news, "credentialsExpireOn")
        try:
            credentials.require_lasting_credentials(
                expire_on, run=news["run"], hours=wish.hours, now=session.now()
            )
            offer = market.choose(session.client(news["cloud"]), wish, cap_usd=cap_usd)
        except TrainstackError as error:
            return CheckResult(news, [CheckFailure("", str(error))])
        session.say(f"{news['run']}: {market.summary(offer, wish, cap_usd=cap_usd)}")
        return CheckResult({**news, properties.OFFER: offer.to_text()}, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Keep, extend, replace, or refuse; a run that has its verdict is kept, unless rerun."""
        old, new = properties.known(_olds), properties.known(_news)
        rented = properties.offer(_olds)
        decision = change.decide(old, new, country=rented.country if rented else "")
        waiting = [_WORDS[key] for key in decision.waiting if key in _WORDS]
        if waiting and decision.kind != "replace":
            session.say(_kept(new["run"], waiting))
        if decision.kind == "keep":
            return DiffResult(changes=False)
        verdict = None if decision.is_another_run else session.verdict(_olds)
        if verdict:
            session.say(_kept_by_verdict(new["run"], verdict, decision.names))
            return DiffResult(changes=False)
        if decision.kind == "refuse":
            raise ChangeRefusedError(
                f"run {new['run']} cannot take a changed {', '.join(decision.names)}. "
                f"{decision.remedy}"
            )
        if decision.kind == "extend":
            _require_extension(_id, old, hours=new["durationHours"], cap_usd=new["maxCostUsd"])
            return DiffResult(changes=True, replaces=[])
        return DiffResult(changes=True, replaces=list(decision.keys), delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Rent, or adopt what an earlier attempt rented; return as soon as there is an id."""
        wanted = properties.rental(props)
        place = wanted.place
        credentials.require_lasting_credentials(
            wanted.credentials_expire_on,
            run=wanted.run,
            hours=wanted.wish.hours,
            now=session.now(),
        )
        bucket = VerdictReader(wanted.access, endpoint=place.endpoint, bucket=place.bucket)
        rented = rental.rent(
            session.client(wanted.cloud),
            wanted,
            verdict=lambda: bucket.find_verdict(place.prefix),
            set_aside=lambda verdict: bucket.set_aside_verdict(verdict, prefix=place.prefix),
            before_post=engine_watchdog.require_alive,
            say=session.say,
        )
        outs = {
            **props,
            "durationHours": rented.hours,  # fewer than asked for are extended by the next update
            properties.OFFER: rented.offer.to_text(),
            "priceUsdPerHour": str(rented.offer.price_usd_per_hour),
            "estimatedCostUsd": cost.rounded(rented.offer.total_usd),
        }
        return CreateResult(rented.id, outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Keep the state while the machine lives or the run has its verdict; else it is gone."""
        alive = rental.is_alive(session.client(props["cloud"]), id_)
        if not alive and session.verdict(props) is None:
            session.say(f"{props['run']}: deployment {id_} has ended without a verdict")
            return ReadResult(None, {})
        return ReadResult(id_, props, properties.inputs_of(props, outputs=DEPLOYMENT_OUTPUTS))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Extend: the one change that a live machine can take."""
        old_hours = properties.known(_olds)["durationHours"]
        new_hours = properties.known(_news)["durationHours"]
        rental.extend(session.client(_news["cloud"]), _id, old_hours=old_hours, new_hours=new_hours)
        kept = {key: _olds[key] for key in change.AS_RENTED if key in _olds}
        outs = {**_olds, **_news, **kept}
        offer = properties.offer(_olds)
        if offer:
            longer = offer.for_hours(new_hours, quoted_hours=old_hours)
            outs[properties.OFFER] = longer.to_text()
            outs["estimatedCostUsd"] = cost.rounded(longer.total_usd)
        return UpdateResult(outs)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Give the machine back; return when the vendor says that it is gone."""
        rental.give_back(session.client(_props["cloud"]), _id)
        place = properties.place(_props)
        session.say(
            f"{_props['run']}: machine given back. Kept: s3://{place.bucket}/{place.prefix} at "
            f"{place.endpoint}. Nothing deletes it but you: python -m runs rm "
            f"--bucket {place.bucket} --prefix {place.prefix} --yes"
        )


class DeploymentReadyProvider(ResourceProvider):
    """The wait for a deployment's address and first heartbeat."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Remember the stack's secrets for this process."""
        session.remember(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Accept everything: the program makes these inputs."""
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Wait again for another deployment; another time limit changes nothing."""
        old, new = properties.known(_olds), properties.known(_news)
        changed = old.get("deploymentId") != new.get("deploymentId")
        return DiffResult(changes=changed, replaces=["deploymentId"] if changed else [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait, bounded; a run that has its verdict already needs no heartbeat."""
        deployment_id = str(props["deploymentId"])
        try:
            address = readiness.wait(
                session.client(props["cloud"]),
                deployment_id,
                run=props["run"],
                timeout_s=float(props["timeoutMinutes"]) * 60,
                still_wanted=engine_watchdog.require_alive,
                say=session.say,
            )
        except NotReadyError:
            if session.verdict(props) is None:
                raise
            address = ""
        return CreateResult(deployment_id, {**props, "statusUrl": address})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the state as it is: the deployment's own read finds what ended."""
        return ReadResult(id_, props, properties.inputs_of(props, outputs=READY_OUTPUTS))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Keep the outputs."""
        return UpdateResult({**_olds, **_news})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget it."""


def _require_extension(id_: str, old: dict[str, Any], *, hours: int, cap_usd: int) -> None:
    """Refuse what would cost more than the cap, or outlive the run's credentials."""
    offer, old_hours, run = properties.offer(old), old["durationHours"], old["run"]
    left = rental.remaining_hours(session.client(old["cloud"]), id_, bought_hours=old_hours)
    credentials.require_lasting_credentials(
        properties.known_text(old, "credentialsExpireOn"),
        run=run,
        hours=left + hours - old_hours,
        now=session.now(),
    )
    if offer is None:
        return
    longer = offer.for_hours(hours, quoted_hours=old_hours)
    what = f"{longer} x {hours} h"
    cost.require_within_cap(longer.total_usd, cap_usd=cap_usd, what=what)
    session.say(f"{run}: extends to {what} = {cost.dollars(longer.total_usd)} in all")


_WORDS = {"image": "image", "STOP_GRACE_S": "stopGraceSeconds"}  # a live machine keeps its own


def _kept(run: str, words: list[str]) -> str:
    what = " and ".join(words)
    return (
        f"{run}: keeps the {what} that it was rented with; what changed is for the next rental. To "
        "have it at once raise trainstack:rerun, which gives this machine back and trains from the "
        "start."
    )


def _kept_by_verdict(run: str, verdict: Verdict, names: tuple[str, ...]) -> str:
    remedy = "raise trainstack:rerun, or add a run of another name to trainstack:runs"
    if verdict.outcome == "stopped":
        remedy += f"; to go on from its newest checkpoint: {credentials.renew_command(run)}"
    return (
        f"{run}: has its verdict ({verdict.outcome}) and is not rented again, although "
        f"{', '.join(names)} changed. To train again: {remedy}"
    )
