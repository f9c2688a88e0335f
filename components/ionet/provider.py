"""The dynamic providers: decode, call, encode. THIS PATH IS FROZEN: the stack's state names it.

No state on `self`: the objects are pickled by reference into the state.
"""

from __future__ import annotations

import dataclasses
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
    cost,
    credentials,
    deletion,
    engine_watchdog,
    hours_told,
    machine_state,
    market,
    plan,
    plan_hours,
    properties,
    quote,
    ready,
    restarting,
    run_tokens,
    session,
    stopping,
    what_is_left,
)
from components.ionet.change import AS_RENTED
from components.ionet.errors import NotToldError
from components.ionet.rental import close, extend, give_back, rent
from components.r2.verdict_reader import VerdictReader

IDENTITY_BYTES = 4
ACCESS_TOKEN_BYTES = 24
IDENTITY_OUTPUTS = ("accessToken",)
DEPLOYMENT_OUTPUTS = (
    "estimatedCostUsd",
    "priceUsdPerHour",
    machine_state.EXTENDED_HOURS,
    machine_state.HOURS_FIRST,
    machine_state.RENTED_AT,
)
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
        """Give back what bears the identity and is in no state, and revoke the run's tokens.

        Such a machine is of an engine that was killed while it rented, or of a request that is
        still on its way. The deployment that the state knows was deleted before, as it depends on
        this.
        """
        if not _props.get("nameStem"):
            return  # made before identities knew their names: such a stack must still destroy
        client, owner = session.client(_props["cloud"]), machine_state.owner_of_identity(_props)
        name_prefix = f"{owner.stem}{_id}-"
        place = session.identity_place(_props)
        if place is None:
            give_back.give_back_all(client, name_prefix, say=session.say)
            return
        ledger = session.ledger(place, None)
        close.close(
            client,
            _id,
            name_prefix=name_prefix,
            owner=owner,
            ledger=ledger,
            started=session.STARTED,
            say=session.say,
        )
        run_tokens.revoke(
            session.cloudflare_client(place.account_id),
            owner,
            identity=_id,
            ended=close.ended_identities(ledger, owner),
            say=session.say,
        )


class CaasDeploymentProvider(ResourceProvider):
    """One rented container of io.net."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Remember the stack's secrets for this process."""
        session.remember(req)

    @session.about_its_run
    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Choose the offer, once: a moving market never changes a machine that is rented."""
        if _olds.get(machine_state.OFFER):
            # A change that replaces the machine is checked again, then without olds.
            return CheckResult(properties.as_chosen(_olds, news), [])
        (wish, share), cap_usd = what_is_left.wish_of(news), machine_state.cap_usd(news)
        expire_on = machine_state.known_text(news, "credentialsExpireOn")
        try:
            credentials.require_lasting_credentials(
                expire_on, run=news["run"], hours=wish.hours, now=session.now()
            )
            client = session.client(news["cloud"])
            so_far = plan.require_no_other(client, news)
            session.say(f"{news['run']}: {so_far}")
            spent_usd = so_far.used_usd
            wish = plan.without_bad_places(news, wish)
            quoted = market.quote(client, wish, cap_usd=cap_usd, spent_usd=spent_usd)
            if quoted.chosen is None and quoted.candidates:
                session.say(f"{news['run']}:\n{quote.table(quoted)}")
            found, offer = market.chosen(quoted)
            credentials.require_lasting_credentials(
                expire_on, run=news["run"], hours=found.hours, now=session.now()
            )
        except TrainstackError as error:
            reason = session.with_own_keys_of_its_run(str(error))
            return CheckResult(news, [CheckFailure("", reason)])
        summary = market.summary(offer, wish, cap_usd=cap_usd, spent_usd=spent_usd)
        session.say(f"{news['run']}: {summary}\n{quote.table(quoted)}")
        session.say(f"{news['run']}: {quote.comparison(found, share=share)}")
        if first := properties.first_hours(news, planned_hours=found.hours):
            session.say(f"{news['run']}: {quote.first_hours(found, hours=first)}")
        kept = {machine_state.OFFER: offer.to_text(), machine_state.HOURS: found.hours}
        return CheckResult({**news, **kept}, [])

    @session.about_its_run
    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Keep, restart, extend, replace or refuse; what has its verdict is kept, unless rerun."""
        planned = plan.plan(_id, _olds, _news)
        return DiffResult(
            changes=planned.kind != "keep",
            replaces=list(planned.keys),
            delete_before_replace=planned.kind == "replace",
        )

    @session.about_its_run
    def create(self, props: dict[str, Any]) -> CreateResult:
        """Rent, or adopt what an earlier attempt rented; return as soon as there is an id."""
        wanted = properties.rental(props)
        wish = plan.without_bad_places(props, what_is_left.decided(props, wanted.wish))
        wanted = dataclasses.replace(wanted, wish=wish)
        place = wanted.place
        credentials.require_lasting_credentials(
            wanted.credentials_expire_on,
            run=wanted.run,
            hours=wanted.wish.hours,
            now=session.now(),
        )
        bucket = VerdictReader(wanted.access, endpoint=place.endpoint, bucket=place.bucket)
        ledger = session.ledger(place, wanted.access, only_the_run_writes=True)
        cloudflare, owner = session.cloudflare_client(place.account_id), wanted.owner
        rented = rent.rent(
            session.client(wanted.cloud),
            wanted,
            ledger=ledger,
            verdict=lambda: bucket.find_verdict(place.prefix),
            set_aside=lambda verdict: bucket.set_aside_verdict(verdict, prefix=place.prefix),
            before_post=engine_watchdog.require_alive,
            known=session.known(wanted.run),
            live_tokens=lambda: run_tokens.live(cloudflare, owner, identity=wanted.identity),
            say=session.say,
        )
        run_tokens.revoke_others(
            cloudflare,
            owner,
            identity=wanted.identity,
            kept=(wanted.access.access_key_id, rented.token_id),
            say=session.say,
        )
        try:
            hours_told.tell(
                rented.id, props, hours=rented.hours, name=rented.name, rented_at=rented.rented_at
            )
        except NotToldError as error:  # the machine is rented, which counts more
            session.say(f"{wanted.run}: {error} It does not know when its bought hours end")
        outs = {
            **props,
            "privateName": rented.name,
            "image": rented.image,
            "env": dict(rented.env),
            # Fewer than asked for are extended: by the next update, or once a machine is checked.
            **properties.hours_of(wanted, bought=rented.hours),
            machine_state.OFFER: rented.offer.to_text(),
            machine_state.RENTED_AT: rented.rented_at.isoformat() if rented.rented_at else "",
            "priceUsdPerHour": str(rented.offer.price_usd_per_hour),
            "estimatedCostUsd": cost.rounded(rented.offer.total_usd + rented.offer.rest_usd),
        }
        return CreateResult(rented.id, outs)

    @session.about_its_run
    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Keep the state, unless the machine has ended early and left its run unfinished."""
        if plan.ended_early(id_, props):
            session.say(
                f"{props['run']}: deployment {id_} has ended before its hours were over; "
                "`pulumi up` rents it anew"
            )
            return ReadResult(None, {})
        return ReadResult(id_, props, properties.inputs_of(props, outputs=DEPLOYMENT_OUTPUTS))

    @session.about_its_run
    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Start the machine again with what changed, or extend it."""
        restart = plan.restarted(_id, _olds, _news)
        if restart is not None:
            return UpdateResult(restarting.update(_id, _olds, _news, planned=restart))
        if stopping.is_left_stopped(_olds):
            stopping.let_go_on(_olds)
        kept = {key: _olds[key] for key in AS_RENTED if key in _olds}
        outs = {**_olds, **_news, **kept}
        wanted = plan_hours.extension(_id, _olds, _news)
        if plan_hours.waits_for_its_check(_id, _olds):
            session.say(f"{wanted.run}: more hours are bought once its machine is checked")
            return UpdateResult(outs)
        if _news[machine_state.HOURS] == _olds[machine_state.HOURS]:
            more = plan_hours.more(_id, _olds, _news)
            if more is None or not more.is_due:
                return UpdateResult(outs)
            wanted = more.extension
        place, owner = machine_state.place(_olds), machine_state.owner(_news)
        bought = extend.extend(
            session.client(_news["cloud"]),
            wanted,
            ledger=session.ledger(place, machine_state.access(_olds)),
            owner=owner,
            entry=machine_state.entry(_id, _olds, now=session.now()),
            known=session.known(_news["run"]),
            say=session.say,
        )
        hours_told.tell_of_more(_id, _olds, hours=bought.hours, before="old")
        longer = dataclasses.replace(wanted.offer, total_usd=bought.paid_usd)
        outs[machine_state.OFFER] = longer.to_text()
        outs["estimatedCostUsd"] = cost.rounded(bought.paid_usd)
        outs |= machine_state.extended(_news, bought=bought.hours)
        return UpdateResult(outs)

    @session.about_its_run
    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """End the run and give the machine back; return when the vendor shows that it is gone."""
        deletion.delete(_id, _props)


class DeploymentReadyProvider(ResourceProvider):
    """The wait for a deployment's first heartbeat and its check, then the rest of its hours."""

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

    @session.about_its_run
    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait, bounded; a run that has its verdict already needs no heartbeat."""
        deployment_id = str(props["deploymentId"])
        address = ready.ready(deployment_id, props)
        return CreateResult(deployment_id, {**props, "statusUrl": address})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the state as it is: the deployment's own read finds what ended."""
        return ReadResult(id_, props, properties.inputs_of(props, outputs=READY_OUTPUTS))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Keep the outputs."""
        return UpdateResult({**_olds, **_news})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget it."""
