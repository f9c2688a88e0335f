"""What a changed program means for a rented machine: keep, extend, replace or refuse; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from components.config.run_settings import models_of, short_hash
from container.contract.environment import NAMES, differing, meaning
from container.contract.gpu_name import GpuName

ENV = "env"
GPU_TYPE = "gpuType"
REPLACE_KEYS = (
    "bucket",
    ENV,
    GPU_TYPE,
    "gpusPerContainer",
    "identity",
    "locations",
    "r2Endpoint",
    "r2Prefix",
    "run",
)
"""A change of one of these is another machine or another run. They make up the private name.

Of the environment its meaning counts, not its layout: see container/contract/environment.py.
"""

NEXT_RENTAL_KEYS = ("entrypoint", "image", "trafficPort")
"""The program's own, which another release changes: a live machine keeps what it was rented with,
and the next rental gets the new ones."""

TOLD_KEYS = ("notifyUrl", "pingUrl")
"""Who is told: a live container tells those that it was started with."""

AS_RENTED = (*NEXT_RENTAL_KEYS, ENV, "privateName")
"""What an update in place leaves in the state as it was: it tells of the machine that runs."""

TOKEN_KEYS = ("accessKeyId", "secretAccessKey")
"""The run's own access to the bucket. A machine that holds another one cannot write any more: it is
replaced, and the run goes on from its newest checkpoint."""

RENEW = "renew"
"""How often new credentials were asked for; part of the token's name."""

HANDED_KEYS = ("wandbApiKey", "accessToken")
"""Handed to the container when it starts as well; an old one does no harm on the machine."""

HOURS = ("durationHours",)

Kind = Literal["keep", "extend", "replace", "refuse"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """The decision; `keys` changed (`names` for people), and a refusal has its `remedy`.

    `waiting` are the keys that changed and are for the next rental, whatever the kind.
    """

    kind: Kind
    keys: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    remedy: str = ""
    waiting: tuple[str, ...] = ()

    @property
    def is_for_credentials(self) -> bool:
        """Whether the machine is replaced because of its access to the bucket alone."""
        return self.kind == "replace" and set(self.keys) <= {RENEW, *TOKEN_KEYS}

    @property
    def is_another_run(self) -> bool:
        """Whether another run is asked for on purpose, whatever became of the old one."""
        return "identity" in self.keys


def decide(
    old: Mapping[str, Any], new: Mapping[str, Any], *, country: str = "", gpu: GpuName | None = None
) -> Change:
    """Compare what was rented (`gpu` in `country`, as far as known) with what is wanted now.

    A value that is not known yet (in a preview) counts as changed. Everything that is none of the
    keys above nor `durationHours` changes nothing on the machine, and neither do other locations
    among which is the one that was rented, nor a list of GPUs with the one that was rented.
    """
    if gpu and _is_among(gpu, new.get(GPU_TYPE)):
        new = _with_gpu_of(old, new)
    decision = _decide(old, new, country=country)
    variables = _variables(old.get(ENV), new.get(ENV), kept_when_live=True)
    waiting = _changed(old, new, (*NEXT_RENTAL_KEYS, *TOLD_KEYS))
    return replace(decision, waiting=(*waiting, *variables))


def rental_hash(inputs: Mapping[str, Any]) -> str:
    """Return 8 hex digits for what another machine or another run would differ in.

    Part of the private name: with it a machine is found again after an engine was killed.
    """
    wanted = {key: inputs.get(key) for key in REPLACE_KEYS}
    return short_hash({**wanted, ENV: meaning(inputs[ENV])})


def _decide(old: Mapping[str, Any], new: Mapping[str, Any], *, country: str) -> Change:
    replacing = _changed(old, new, REPLACE_KEYS)
    if country and country in (new.get("locations") or (country,)):
        replacing = tuple(key for key in replacing if key != "locations")
    if replacing:
        return Change(kind="replace", keys=replacing, names=_names(old, new, replacing))
    credentials = (*_renewed(old, new), *_changed(old, new, TOKEN_KEYS))
    if credentials:
        return Change(kind="replace", keys=credentials, names=credentials)
    handed = _changed(old, new, HANDED_KEYS)
    if handed:
        return Change(kind="refuse", keys=handed, names=handed, remedy=NEW_CREDENTIALS)
    old_hours, new_hours = old.get("durationHours"), new.get("durationHours")
    if old_hours == new_hours:
        return Change(kind="keep")
    if isinstance(old_hours, int) and isinstance(new_hours, int) and new_hours > old_hours:
        return Change(kind="extend", keys=HOURS, names=HOURS)
    return Change(
        kind="refuse",
        keys=HOURS,
        names=HOURS,
        remedy=FEWER_HOURS.format(old=old_hours, new=new_hours),
    )


def _is_among(gpu: GpuName, wanted: Any) -> bool:
    models = models_of(wanted) if isinstance(wanted, str) else ()
    return len(models) > 1 and any(GpuName.parse(model).asks_for(gpu) for model in models)


def _with_gpu_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    had, becomes = old.get(ENV), new.get(ENV)
    kept: dict[str, Any] = {GPU_TYPE: old.get(GPU_TYPE)}
    if isinstance(had, Mapping) and isinstance(becomes, Mapping):
        variable = NAMES["gpu_type"]
        kept[ENV] = {**becomes, variable: cast("Mapping[str, Any]", had).get(variable, "")}
    return {**new, **kept}


NEW_CREDENTIALS = (
    "A live container keeps what it was started with. Put the old value back; or raise "
    "trainstack:renew, which gives this machine back, rents another with the new ones, and goes on "
    "from the newest checkpoint."
)
FEWER_HOURS = (
    "The hours are paid in advance and cannot be given back in part: {old} were bought, {new} are "
    "asked for. Set trainstack:durationHours back to {old}; `pulumi destroy` ends the rental early."
)


def _renewed(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    # Not there in a state of before there was such a key.
    return () if (old.get(RENEW) or 0) == (new.get(RENEW) or 0) else (RENEW,)


def _changed(
    old: Mapping[str, Any], new: Mapping[str, Any], keys: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(key for key in keys if _differs(key, old.get(key), new.get(key)))


def _differs(key: str, was: Any, becomes: Any) -> bool:
    if key == ENV and isinstance(was, Mapping) and isinstance(becomes, Mapping):
        return bool(_variables(was, becomes))
    return _plain(was) != _plain(becomes)


def _variables(was: Any, becomes: Any, *, kept_when_live: bool = False) -> tuple[str, ...]:
    if not (isinstance(was, Mapping) and isinstance(becomes, Mapping)):
        return ()
    old, new = cast("Mapping[str, str]", was), cast("Mapping[str, str]", becomes)
    return differing(old, new, kept_when_live=kept_when_live)


def _names(
    old: Mapping[str, Any], new: Mapping[str, Any], keys: tuple[str, ...]
) -> tuple[str, ...]:
    names: list[str] = []
    for key in keys:
        variables = _variables(old.get(key), new.get(key)) if key == ENV else ()
        names += variables or (key,)
    return tuple(names)


def _plain(value: Any) -> Any:
    # What is empty vanishes on its way through the engine.
    return None if value in ("", [], {}, ()) else value
