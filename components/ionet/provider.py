"""The dynamic providers: decode, call, encode. THIS PATH IS FROZEN: the stack's state names it.

No state on `self`: the objects are pickled by reference into the state. Whatever the environment
holds wins over what the last `pulumi up` stored, so that a rotated key reaches `pulumi destroy`.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from datetime import UTC, datetime
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

from components import bucket_reader
from components.bucket_reader import BucketReader
from components.errors import TrainstackError
from components.ionet import change, codec, cost, engine, market, rental
from components.ionet.client import DEFAULT_BASE_URL, Client
from components.ionet.errors import (
    ChangeRefusedError,
    IonetError,
    KeyRefusedError,
    NotReadyError,
    WrongWorldError,
)
from components.world import mixed_worlds
from container.records import Verdict

IDENTITY_BYTES = 4
DEPLOYMENT_OUTPUTS = ("estimatedCostUsd", "priceUsdPerHour", "rentedName")
IDENTITY_OUTPUTS = ("accessToken",)
READY_OUTPUTS = ("statusUrl",)

_stack_config: dict[str, str] = {}
"""The stack's config as the engine hands it to this process; secrets are in clear."""


class RunIdentityProvider(ResourceProvider):
    """A random name for one run, stored before anything is rented for it."""

    serialize_as_secret_always = False

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Accept everything: the program makes these inputs."""
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Replace when `rerun` was raised, or the run renamed."""
        keys = [key for key in ("run", "rerun") if _olds.get(key) != _news.get(key)]
        return DiffResult(changes=bool(keys), replaces=keys, delete_before_replace=False)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Draw the identity, and the bearer token of the run's chat."""
        outs = {**props, "accessToken": secrets.token_urlsafe(24)}
        return CreateResult(secrets.token_hex(IDENTITY_BYTES), outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the state as it is: nothing outside it can change."""
        return ReadResult(id_, props, codec.inputs_of(props, outputs=IDENTITY_OUTPUTS))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Keep the outputs; nothing of an identity can be updated."""
        return UpdateResult({**_olds, **_news})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget it."""


class CaasDeploymentProvider(ResourceProvider):
    """One rented container of io.net."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Remember the stack's config for this process."""
        _remember(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Choose the offer, once: as long as the deployment lives, a moving market changes nothing."""
        kept = _olds.get(codec.OFFER)
        if kept:
            return CheckResult({**news, codec.OFFER: kept}, [])
        wish = codec.wish(news)
        cap_usd = int(news["maxCostUsd"])
        try:
            market.require_lasting_credentials(
                codec.known_text(news, "credentialsExpireOn"), wish=wish, now=_now()
            )
            offer = market.choose(_client(news["cloud"]), wish, cap_usd=cap_usd)
        except TrainstackError as error:
            return CheckResult(news, [CheckFailure("gpuType", str(error))])
        _say(f"{news['run']}: {market.summary(offer, wish, cap_usd=cap_usd)}")
        return CheckResult({**news, codec.OFFER: offer.to_text()}, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Keep, extend, replace, or refuse; a run that has its verdict is always kept."""
        old, new = codec.known(_olds), codec.known(_news)
        found = change.decide(old, new)
        if found.kind == "keep":
            return DiffResult(changes=False)
        verdict = None if found.is_another_run else _verdict(_olds)
        if verdict:
            _say(_kept_by_verdict(new["run"], verdict, found.names))
            return DiffResult(changes=False)
        if found.kind == "refuse":
            raise ChangeRefusedError(
                f"run {new['run']} cannot take a changed {', '.join(found.names)}. {found.remedy}"
            )
        if found.kind == "replace":
            return DiffResult(changes=True, replaces=list(found.keys), delete_before_replace=True)
        offer = codec.offer(_olds)
        if offer:
            hours = int(new["durationHours"])
            total = rental.estimated_cost_usd(offer, hours=hours, wished_hours=old["durationHours"])
            cost.require_within_cap(
                total, cap_usd=int(new["maxCostUsd"]), what=f"{offer} x {hours} h"
            )
            _say(f"{new['run']}: extends to {hours} h, {cost.dollars(total)} in all")
        return DiffResult(changes=True, replaces=[], delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Rent, or adopt what an earlier attempt rented; return as soon as there is an id."""
        wanted = codec.rental(props)
        market.require_lasting_credentials(
            wanted.credentials_expire_on, wish=wanted.wish, now=_now()
        )
        run_bucket = BucketReader(
            wanted.access, endpoint=wanted.place.endpoint, bucket=wanted.place.bucket
        )
        rented = rental.rent(
            _client(wanted.cloud),
            wanted,
            verdict=lambda: _verdict(props),
            set_aside=lambda verdict: run_bucket.set_aside_verdict(
                verdict, prefix=wanted.place.prefix
            ),
            before_post=engine.require_alive,
            say=_say,
        )
        return CreateResult(
            rented.id,
            {
                **props,
                codec.OFFER: rented.offer.to_text(),
                "priceUsdPerHour": str(rented.offer.price_usd_per_hour),
                "estimatedCostUsd": float(round(rented.offer.total_usd, 2)),
            },
        )

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Keep the state while the machine lives, or when the run has its verdict; else it is gone."""
        alive = rental.is_alive(_client(props["cloud"]), id_)
        if not alive and _verdict(props) is None:
            _say(f"{props['run']}: deployment {id_} has ended without a verdict")
            return ReadResult(None, {})
        return ReadResult(id_, props, codec.inputs_of(props, outputs=DEPLOYMENT_OUTPUTS))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Extend: the one change that a live machine can take."""
        old, new = codec.known(_olds), codec.known(_news)
        rental.extend(
            _client(new["cloud"]),
            _id,
            old_hours=old["durationHours"],
            new_hours=new["durationHours"],
            say=_say,
        )
        outs = {**_olds, **_news}
        offer = codec.offer(_olds)
        if offer:
            total = rental.estimated_cost_usd(
                offer, hours=new["durationHours"], wished_hours=old["durationHours"]
            )
            outs["estimatedCostUsd"] = float(round(total, 2))
        return UpdateResult(outs)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Give the machine back; return when the vendor says that it is gone."""
        rental.give_back(_client(_props["cloud"]), _id, say=_say)
        place = codec.place(_props)
        _say(
            f"{_props['run']}: machine given back. Kept: s3://{place.bucket}/{place.prefix} at "
            f"{place.endpoint} (the bucket and all that was trained; nothing here deletes it)"
        )


class DeploymentReadyProvider(ResourceProvider):
    """The wait for a deployment's address and first heartbeat."""

    serialize_as_secret_always = False

    def configure(self, req: ConfigureRequest) -> None:
        """Remember the stack's config for this process."""
        _remember(req)

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Accept everything: the program makes these inputs."""
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Wait again for another deployment; another time limit changes nothing."""
        old, new = codec.known(_olds), codec.known(_news)
        changed = old.get("deploymentId") != new.get("deploymentId")
        return DiffResult(changes=changed, replaces=["deploymentId"] if changed else [])

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait, bounded; a run that has its verdict already needs no heartbeat."""
        deployment_id = str(props["deploymentId"])
        try:
            address = rental.await_heartbeat(
                _client(props["cloud"]),
                deployment_id,
                run=props["run"],
                timeout_s=float(props["timeoutMinutes"]) * 60,
                say=_say,
            )
        except NotReadyError:
            if _verdict(props, with_run_access=False) is None:
                raise
            address = ""
        return CreateResult(deployment_id, {**props, "statusUrl": address})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the state as it is: the deployment's own read finds what ended."""
        return ReadResult(id_, props, codec.inputs_of(props, outputs=READY_OUTPUTS))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Keep the outputs."""
        return UpdateResult({**_olds, **_news})

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Forget it."""


def _remember(request: ConfigureRequest) -> None:
    for key in ("trainstack:ionetApiKey", "cloudflare:apiToken"):
        value = request.config.get(key)
        if isinstance(value, str):
            _stack_config[key] = value


def _client(cloud: str) -> Client:
    problems = mixed_worlds(cloud, env=os.environ)
    if problems:
        raise WrongWorldError("; ".join(problems))
    key = os.environ.get("IONET_API_KEY") or _stack_config.get("trainstack:ionetApiKey")
    if not key:
        raise KeyRefusedError(
            "there is no io.net key: set IONET_API_KEY, or `pulumi config set --secret "
            "trainstack:ionetApiKey`."
        )
    return Client(key, base_url=os.environ.get("IONET_BASE_URL") or DEFAULT_BASE_URL)


def _verdict(props: dict[str, Any], *, with_run_access: bool = True) -> Verdict | None:
    return bucket_reader.find_verdict(
        codec.place(props),
        run_access=codec.access(props) if with_run_access else None,
        config=_stack_config,
    )


def _kept_by_verdict(run: str, verdict: Verdict, names: tuple[str, ...]) -> str:
    remedy = "raise trainstack:rerun, or add a run of another name to trainstack:runs"
    if verdict.outcome == "stopped":
        remedy += (
            "; to go on from its newest checkpoint: pulumi up --target-replace "
            f"'**CaasDeployment::{run}-deployment'"
        )
    return (
        f"{run}: has its verdict ({verdict.outcome}) and is not rented again, although "
        f"{', '.join(names)} changed. To train again: {remedy}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _now() -> datetime:
    return datetime.now(UTC)


def _is_foreseen(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return isinstance(error, IonetError | TrainstackError)


# The engine shows what an exception says. gRPC logs its traceback besides, which tells users nothing
# when the failure was foreseen.
logging.getLogger("grpc._server").addFilter(lambda record: not _is_foreseen(record))
