"""What a changed program means for a rented machine: keep, extend, replace or refuse; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

REPLACE_KEYS = (
    "bucket",
    "entrypoint",
    "env",
    "gpuType",
    "gpusPerContainer",
    "identity",
    "image",
    "locations",
    "r2Endpoint",
    "r2Prefix",
    "run",
    "trafficPort",
)
"""A change of one of these is another machine or another run. They make up the private name."""

CREDENTIAL_KEYS = ("accessKeyId", "secretAccessKey", "wandbApiKey", "accessToken")
"""Handed to the container when it starts; the API can only change them by re-creating it."""

HOURS = ("durationHours",)

Kind = Literal["keep", "extend", "replace", "refuse"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """The decision; `keys` changed (`names` for people), and a refusal has its `remedy`."""

    kind: Kind
    keys: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def is_another_run(self) -> bool:
        """Whether another run is asked for on purpose, whatever became of the old one."""
        return "identity" in self.keys


def decide(old: Mapping[str, Any], new: Mapping[str, Any], *, country: str = "") -> Change:
    """Compare what was rented (in `country`, as far as known) with what is wanted now.

    A value that is not known yet (in a preview) counts as changed. Everything that is neither in
    REPLACE_KEYS nor in CREDENTIAL_KEYS nor `durationHours` changes nothing on the machine, and
    neither do other locations among which is the one that was rented.
    """
    replacing = _changed(old, new, REPLACE_KEYS)
    if country and country in (new.get("locations") or (country,)):
        replacing = tuple(key for key in replacing if key != "locations")
    if replacing:
        return Change(kind="replace", keys=replacing, names=_names(old, new, replacing))
    credentials = _changed(old, new, CREDENTIAL_KEYS)
    if credentials:
        return Change(kind="refuse", keys=credentials, names=credentials, remedy=NEW_CREDENTIALS)
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


NEW_CREDENTIALS = (
    "A live run keeps the credentials that it started with: giving it others would re-create its "
    "container. Let it end first, put the old ones back, or raise trainstack:rerun, which destroys "
    "this run and starts another."
)
FEWER_HOURS = (
    "The hours are paid in advance and cannot be given back in part: {old} were bought, {new} are "
    "asked for. Set trainstack:durationHours back to {old}; `pulumi destroy` ends the rental early."
)


def _changed(
    old: Mapping[str, Any], new: Mapping[str, Any], keys: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(key for key in keys if _plain(old.get(key)) != _plain(new.get(key)))


def _names(
    old: Mapping[str, Any], new: Mapping[str, Any], keys: tuple[str, ...]
) -> tuple[str, ...]:
    names: list[str] = []
    for key in keys:
        was, becomes = old.get(key), new.get(key)
        if isinstance(was, Mapping) and isinstance(becomes, Mapping):
            before, after = cast("Mapping[str, Any]", was), cast("Mapping[str, Any]", becomes)
            names += _changed(before, after, tuple(sorted({*before, *after})))
        else:
            names.append(key)
    return tuple(names)


def _plain(value: Any) -> Any:
    # What is empty vanishes on its way through the engine.
    return None if value in ("", [], {}, ()) else value
