"""What one provider process knows of the world: keys, addresses, the stack's config, its voice.

The environment wins over what the last `pulumi up` stored, so that a rotated key reaches
`pulumi destroy`, which does not run the program.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from pulumi.dynamic import ConfigureRequest

from components.config.endpoints import (
    CLOUDFLARE_TOKEN,
    IONET_KEY,
    World,
    differing_ionet_keys,
    entered,
    ionet_key,
    mixed_worlds,
)
from components.config.one_run import RUNS_KEY, sweep_of, with_own_keys
from components.errors import TrainstackError
from components.ionet import engine_watchdog, machine_state
from components.ionet.client import DEFAULT_BASE_URL, Client
from components.ionet.errors import KeyRefusedError, WrongWorldError
from components.ionet.list_once import ListOnce
from components.ledger.budget import KnownRental
from components.ledger.ledger import READ_FOR_S, WRITE_FOR_S, Access, BucketLedger, Ledger
from components.r2 import cloudflare, life_signs, verdict_reader
from components.r2.cloudflare import S3Access
from components.r2.life_signs import LifeSign
from components.r2.verdict_reader import RunPlace
from container.contract.pasted import cleaned, flaw
from container.contract.records import Verdict
from container.contract.redacted import without_secrets

_P = ParamSpec("_P")
_R = TypeVar("_R")

STARTED = time.monotonic()
PLACE_KEYS = (
    "trainstack:cloudflareAccountId",
    "trainstack:bucket",
    "trainstack:jurisdiction",
)

_stack_config: dict[str, str] = {}
_watched: list[bool] = []
_known: dict[str, tuple[str, KnownRental]] = {}
_lists: dict[str, ListOnce] = {}
_run_of_sweep: ContextVar[str] = ContextVar("_run_of_sweep", default="")


def remember(request: ConfigureRequest) -> None:
    """Keep what matters of the stack's config, which the engine hands over in clear."""
    for key in (IONET_KEY, CLOUDFLARE_TOKEN, RUNS_KEY, *PLACE_KEYS):
        value: Any = request.config.get(key)
        if isinstance(value, str):
            _stack_config[key] = cleaned(value)
    if not _watched:
        _watched.append(True)
        engine_watchdog.end_after_engine()


def about_its_run(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a provider's method, which takes a run's properties last, name that run's own keys."""

    @wraps(method)
    def told(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        props: Any = args[-1]
        run = machine_state.known_text(props, "run")
        in_sweep = run in sweep_of(_stack_config.get(RUNS_KEY, ""))
        before = _run_of_sweep.set(run if in_sweep else "")
        try:
            return method(*args, **kwargs)
        except TrainstackError as error:
            error.args = (with_own_keys_of_its_run(str(error)),)
            raise
        finally:
            _run_of_sweep.reset(before)

    return told


def with_own_keys_of_its_run(text: str) -> str:
    """Return a text about the run whose properties are at hand, with the keys that are its own."""
    return with_own_keys(text, run=_run_of_sweep.get())


def client(cloud: str) -> Client:
    """Return a client for the world of a resource; raises WrongWorldError inside the other one."""
    env = entered(os.environ)
    problems = mixed_worlds(cloud, env=env)
    if problems:
        raise WrongWorldError("; ".join(problems))
    if differ := differing_ionet_keys(env):
        raise KeyRefusedError(f"{differ}.")
    in_shell = ionet_key(env)
    key = in_shell.value or _stack_config.get(IONET_KEY)
    if not key:
        raise KeyRefusedError(
            "there is no io.net key: set IOCLOUD_API_KEY. What was put into the stack's "
            f"{IONET_KEY} since the last `pulumi up` is not read by any other command."
        )
    if wrong := flaw(in_shell.variable or IONET_KEY, key):
        raise KeyRefusedError(f"{wrong}.")
    where = f"in {in_shell.variable}" if in_shell.value else f"in the stack's {IONET_KEY}"
    return Client(
        key,
        base_url=env.get("IONET_BASE_URL") or DEFAULT_BASE_URL,
        account=f"the io.net account of the key {where}",
    )


def listed(cloud: str) -> ListOnce:
    """Return the account's list of deployments, asked for once in this process's life."""
    return _lists.setdefault(cloud, ListOnce(client(cloud), say=say))


def know(deployment_id: str, props: Mapping[str, Any]) -> None:
    """Remember a deployment that the stack's state has, and what it cost."""
    run = machine_state.known_text(props, "run")
    _known[deployment_id] = (run, machine_state.known_rental(deployment_id, props))


def known_ids() -> frozenset[str]:
    """Return the IDs of all deployments of the stack's state, as far as they were planned."""
    return frozenset(_known)


def known(run: str) -> tuple[KnownRental, ...]:
    """Return the deployments of the stack's state that are one run's, whatever identity."""
    return tuple(rental for whose, rental in dict(_known).values() if whose == run)


def accesses(place: RunPlace, run_access: S3Access | None) -> list[Access]:
    """Return the ways into a bucket: a run's own first, else the operator's."""
    operators: Access = lambda: verdict_reader.operator_access(place, config=_stack_config)  # noqa: E731
    return [operators] if run_access is None else [lambda: run_access, operators]


def ways(props: Mapping[str, Any]) -> list[Access]:
    """Return the ways into the bucket of the run of these properties."""
    return accesses(machine_state.place(props), machine_state.access(props))


def ledger(
    place: RunPlace,
    run_access: S3Access | None,
    *,
    only_the_run_writes: bool = False,
    read_for_s: float = READ_FOR_S,
    write_for_s: float = WRITE_FOR_S,
) -> Ledger:
    """Return the ledger of a bucket, through a run's own access first, else the operator's.

    Where a rental is recorded only the run writes: one that cannot write rents nothing.
    """
    ways = accesses(place, run_access)
    return BucketLedger(
        ways,
        writers=ways[:1] if only_the_run_writes else ways,
        endpoint=place.endpoint,
        bucket=place.bucket,
        read_for_s=read_for_s,
        write_for_s=write_for_s,
    )


def identity_place(props: Mapping[str, Any]) -> RunPlace | None:
    """Return bucket and account of an identity; None when neither state nor config tells.

    An older release's identity does not have them: then the config of the last `pulumi up` counts.
    """
    text = machine_state.known_text
    account, name, jurisdiction = (_stack_config.get(key, "") for key in PLACE_KEYS)
    account_id, bucket = text(props, "accountId") or account, text(props, "bucket") or name
    if not (account_id and bucket):
        return None
    world = World.from_env(text(props, "cloud"), env=entered(os.environ))
    endpoint = text(props, "r2Endpoint") or world.r2_endpoint(account_id, jurisdiction=jurisdiction)
    return RunPlace(account_id=account_id, endpoint=endpoint, bucket=bucket, prefix="")


def cloudflare_client(account_id: str) -> cloudflare.Client | None:
    """Return a client with the operator's token; None when there is no token."""
    token = verdict_reader.operator_token(_stack_config)
    if not token:
        return None
    base_url = verdict_reader.cloudflare_base_url()
    return cloudflare.Client(token, account_id=account_id, base_url=base_url)


def verdict(props: Mapping[str, Any]) -> Verdict | None:
    """Return the verdict of the run of these properties; None only when there is surely none."""
    return verdict_reader.find_verdict(
        machine_state.place(props), run_access=machine_state.access(props), config=_stack_config
    )


def life_sign(place: RunPlace, run_access: S3Access | None) -> LifeSign:
    """Return what the run under a prefix left last; raises BucketUnreachableError."""
    return life_signs.newest(place, accesses(place, run_access))


def say(text: str) -> None:
    """Tell the user: the engine shows this process's stderr as it comes."""
    text = with_own_keys_of_its_run(without_secrets(text))
    sys.stderr.write(f"{text}\n")  # in one piece: four calls run at a time
    sys.stderr.flush()


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def _is_unforeseen(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], TrainstackError))


# The engine shows what an exception says. gRPC logs its traceback besides, which tells users
# nothing when the failure was foreseen.
logging.getLogger("grpc._server").addFilter(_is_unforeseen)
