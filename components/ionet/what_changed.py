"""What changed, as a user reads it: `depth 20 -> 24`; pure, and tells no secret."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from components.ionet.change import ENV, INTERRUPTED, RENEW, TOKEN_KEYS, Change
from container.contract.environment import NAMES

_SETTINGS = NAMES["settings"]
_VARIABLES = {
    NAMES["recipe"]: "recipe",
    NAMES["wandb_run"]: "wandbRun",
    NAMES["keep_alive"]: "keepAlive",
    NAMES["device_batch_size"]: "deviceBatchSize",
    NAMES["mirror_url"]: "datasetMirror",
}
_OF_THE_RECIPE = "the recipe's"


def changed(old: Mapping[str, Any], new: Mapping[str, Any], decision: Change) -> str:
    """Return what a decision is about, by the names that the config has for it."""
    found: list[str] = []
    if ENV in decision.keys:
        found += _of_variables(_env(old), _env(new), decision.names)
    if RENEW in decision.keys:
        found.append(f"renew {_shown(old.get(RENEW) or 0)} -> {_shown(new.get(RENEW) or 0)}")
    elif set(TOKEN_KEYS) & set(decision.keys):
        found.append("the run's token")
    found += [key for key in ("wandbApiKey", "accessToken") if key in decision.keys]
    if INTERRUPTED in decision.keys:
        found.append("a start of another container was interrupted")
    if not found and decision.is_another_training:
        found.append("what the recipe trains")
    return ", ".join(found or decision.names)


def _of_variables(
    old: Mapping[str, Any], new: Mapping[str, Any], names: Iterable[str]
) -> list[str]:
    found: list[str] = []
    for name in names:
        if name == _SETTINGS:
            found += _of_settings(_settings(old), _settings(new))
        elif name in _VARIABLES:
            was, becomes = old.get(name) or "not set", new.get(name) or "not set"
            found.append(f"{_VARIABLES[name]} {_shown(was)} -> {_shown(becomes)}")
    return found


def _of_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} {_shown(old.get(key, _OF_THE_RECIPE))} -> {_shown(new.get(key, _OF_THE_RECIPE))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _env(props: Mapping[str, Any]) -> Mapping[str, Any]:
    env = props.get(ENV)
    return cast("Mapping[str, Any]", env) if isinstance(env, Mapping) else {}


def _settings(env: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        parsed: Any = json.loads(env.get(_SETTINGS) or "{}")
    except (TypeError, ValueError):  # not known yet
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}


def _shown(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else f"{value}"
