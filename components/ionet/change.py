"""What a changed program means for a rented machine: keep, restart, extend, replace, refuse; pure.

What each of them does and costs: docs/money.md.
"""

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
    GPU_TYPE,
    "gpusPerContainer",
    "identity",
    "locations",
    "r2Endpoint",
    "run",
)
"""A change of one of these is another machine; or another run, with another ledger or another
identity, whose deletion gives back what bears it."""

TRAINED_KEYS = (ENV, "r2Prefix")
"""What the container does: the same machine starts another one.

Of the environment its meaning counts, not its layout: see container/contract/environment.py.
"""

NAME_KEYS = (*REPLACE_KEYS, *TRAINED_KEYS)
"""These make up the private name of a machine that is rented. It keeps it when it starts again."""

NOT_TRAINED = frozenset({NAMES["wandb_run"], NAMES["keep_alive"]})
"""Variables that change nothing of what is trained, and mend no failure."""

NEXT_RENTAL_KEYS = ("entrypoint", "image", "trafficPort")
"""The program's own, which another release changes: a live machine keeps what it was rented with.
The next rental gets the new ones, and a container that is started anew for another reason."""

TOLD_KEYS = ("notifyUrl", "pingUrl")
"""Who is told: a live container tells those that it was started with."""

AS_RENTED = (*NEXT_RENTAL_KEYS, ENV, "privateName")
"""What an extension leaves in the state as it was: it tells of the container that runs."""

TOKEN_KEYS = ("accessKeyId", "secretAccessKey")
"""The run's own access to the bucket. A container that holds another one cannot write any more: it
is started anew, and the run goes on from its newest checkpoint."""

RENEW = "renew"
"""How often new credentials were asked for; part of the token's name."""

HANDED_KEYS = ("wandbApiKey", "accessToken")
"""Handed to the container when it starts as well."""

HOURS = ("durationHours",)
INTERRUPTED = "interrupted"
"""In the place of a key: the machine was told to start again, and the state does not know."""

Kind = Literal["keep", "restart", "extend", "replace", "refuse"]


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
    def is_another_training(self) -> bool:
        """Whether it begins from the start, in a prefix of its own."""
        return "r2Prefix" in self.keys

    @property
    def mends(self) -> bool:
        """Whether it sets a verdict `failed` aside: the user changed what is trained.

        Another image alone may be another release; a renewal asks for it by name.
        """
        asked_for_image = RENEW in self.keys and "image" in self.waiting
        variables = set(self.names) - NOT_TRAINED
        return self.is_another_training or asked_for_image or (ENV in self.keys and bool(variables))

    @property
    def extends(self) -> bool:
        """Whether more hours are asked for."""
        return set(HOURS) <= set(self.keys)

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
    wanted = {key: inputs.get(key) for key in NAME_KEYS}
    return short_hash({**wanted, ENV: meaning(inputs[ENV])})


def _decide(old: Mapping[str, Any], new: Mapping[str, Any], *, country: str) -> Change:
    replacing = _changed(old, new, REPLACE_KEYS)
    if country and country in (new.get("locations") or (country,)):
        replacing = tuple(key for key in replacing if key != "locations")
    trained = _changed(old, new, TRAINED_KEYS)
    if replacing:
        keys = (*replacing, *trained)
        return Change(kind="replace", keys=keys, names=_names(old, new, keys))
    old_hours, new_hours = old.get("durationHours"), new.get("durationHours")
    more = isinstance(old_hours, int) and isinstance(new_hours, int) and new_hours > old_hours
    if old_hours != new_hours and not more:
        remedy = FEWER_HOURS.format(old=old_hours, new=new_hours)
        return Change(kind="refuse", keys=HOURS, names=HOURS, remedy=remedy)
    handed = _changed(old, new, (*TOKEN_KEYS, *HANDED_KEYS))
    restarting = (*trained, *_renewed(old, new), *handed)
    if restarting:
        keys = (*restarting, *(HOURS if more else ()))
        return Change(kind="restart", keys=keys, names=_names(old, new, keys))
    return Change(kind="extend", keys=HOURS, names=HOURS) if more else Change(kind="keep")


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
