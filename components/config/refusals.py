"""The stack's config map to typed keys, and one line for each that is bad; pure.

Each rule has its own line: key, value, what is allowed. A secret value is never part of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, cast, get_args

import pydantic
from pydantic import BaseModel
from pydantic_core import ErrorDetails

from components.config import countries
from components.config.keys import (
    HOLDS_SECRET,
    MAX_RUNS,
    PROJECT_NAMESPACE,
    STAND_INS,
    BuildArg,
    RunKeys,
    StackKeys,
)
from container.contract.nearest import hint, nearest
from container.contract.pasted import odd_character
from container.contract.redacted import without_secrets

MAX_SHOWN = 120

_STRUCTURED = frozenset({"buildArgs", "gpuType", "locations", "recipeSettings", "runs"})
"""Others are text to the letter: a registry's password may be a JSON document."""

_NAMESPACES = frozenset({PROJECT_NAMESPACE, "cloudflare", "command", "docker", "pulumi"})
_OF_CLOUDFLARE = frozenset(
    {"apiKey", "apiToken", "apiUserServiceKey", "baseUrl", "email", "userAgentOperatorSuffix"}
)
"""https://www.pulumi.com/registry/packages/cloudflare/installation-configuration/"""

_BELOW = {
    "buildArgs": "an address that begins with https:// or http://",
    "locations": "one of the two-letter country codes",
    "recipeSettings": "a number, a text, true or false: settings are one level deep",
    "runs": "an object of keys; {} takes all as the stack says",
}
"""What is allowed one level below a key that holds several values."""


def parse(
    raw: Mapping[str, str], *, secret: Set[str], problems: list[str]
) -> tuple[StackKeys, frozenset[str]]:
    """Parse the project's keys; add a line for each bad one, and return the others with defaults.

    The names of the bad keys come with them: their values are stand-ins, not to be relied on.
    """
    # Pulumi.yaml gives the required keys an empty default: the engine would else refuse a missing
    # one itself, alone.
    given = {
        key: _decoded(value) if key in _STRUCTURED else value
        for key, value in raw.items()
        if value or key not in STAND_INS
    }
    try:
        return StackKeys.model_validate(given), frozenset()
    except pydantic.ValidationError as error:
        bad: set[str] = set()
        for detail in error.errors(include_url=False):
            bad.add(str(detail["loc"][0]))
            line = _line(detail, secret=secret)
            if line not in problems:
                problems.append(line)
        good = {key: value for key, value in given.items() if key not in bad}
        return StackKeys.model_validate({**STAND_INS, **good}), frozenset(bad)


def foreign_keys(config: Mapping[str, str]) -> list[str]:
    """Return one line for each key of another namespace that nobody here reads."""
    problems: list[str] = []
    for key in config:
        namespace, colon, name = key.rpartition(":")
        if namespace == PROJECT_NAMESPACE or (colon and namespace in _NAMESPACES - {"cloudflare"}):
            continue
        if namespace == "cloudflare":
            if name not in _OF_CLOUDFLARE:
                problems.append(f"{key}: unknown key{hint(name, _OF_CLOUDFLARE)}")
        elif name in StackKeys.model_fields or not colon:
            ours = nearest(name, StackKeys.model_fields)
            what = "unknown namespace" if colon else "has no namespace"
            problems.append(f"{key}: {what}; did you mean {PROJECT_NAMESPACE}:{ours}?")
        else:
            near = hint(namespace, _NAMESPACES)
            problems.append(f"{key}: unknown namespace{near}; `pulumi config rm {key}` removes it")
    return problems


def _decoded(value: str) -> Any:
    # Objects and arrays of the stack file arrive as JSON text, everything else as it was written.
    if value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def texts_in(value: str) -> list[str]:
    """Return a value as it was handed over, and every text and name of a user's within it."""
    texts, rest = [value], [_decoded(value)]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            members = cast("dict[str, Any]", one)
            rest += members.values()
            texts += [name for name in members if name not in StackKeys.model_fields]
        elif isinstance(one, list):
            rest += cast("list[Any]", one)
        elif isinstance(one, str):
            texts.append(one)
    return texts


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a bad value stands: a key of the stack or of a run, and what is below it."""

    model: type[BaseModel]
    run: str
    key: str
    below: tuple[str, ...]
    is_name: bool  # of a member: its name is bad, not its value

    @classmethod
    def of(cls, detail: ErrorDetails) -> _Place:
        parts = [str(part) for part in detail["loc"]]
        is_name = "[key]" in parts
        parts = [part for part in parts if part != "[key]"]
        if parts[0] == "runs" and len(parts) > 2:
            model, run, key, below = RunKeys, parts[1], parts[2], parts[3:4]
        else:
            model, run, key, below = StackKeys, "", parts[0], parts[1:2]
        return cls(model=model, run=run, key=key, below=tuple(below), is_name=is_name)

    def shown(self, *, secret: Set[str]) -> str:
        """Return the key as a user knows it; of a secret object no names are shown either."""
        run = f"runs.{'*' if 'runs' in secret else _on_one_line(self.run)}." if self.run else ""
        text = f"{PROJECT_NAMESPACE}:{run}{_on_one_line(self.key)}"
        for part in self.below:
            name = "*" if self.key in secret or (run and "runs" in secret) else _on_one_line(part)
            text += f"[{name}]" if self.key == "locations" else f".{name}"
        return text

    @property
    def allowed(self) -> str:
        if self.below:
            return _BELOW.get(self.key, "")
        return StackKeys.model_fields[self.key].description or "a text"  # a run's keys are some


def _line(detail: ErrorDetails, *, secret: Set[str]) -> str:
    place, kind, value = _Place.of(detail), detail["type"], detail["input"]
    hidden = place.key in secret or (place.run and "runs" in secret)
    key = place.shown(secret=secret)
    if kind == "extra_forbidden":
        return _unknown_key(place, key=key, hidden=bool(hidden))
    if kind == "missing":
        return f"{key}: is not set; must be {place.allowed}"
    if kind == "too_long" and place.key == "runs":
        return f"{key}: holds {len(value)} runs; must be at most {MAX_RUNS} runs"
    if place.is_name:
        return _bad_name(place, key=key, hidden=bool(hidden))
    if HOLDS_SECRET in detail["msg"]:
        return (
            f"{key}: has a user, a password or a token in it, which others could read; must be an "
            "address without one"
        )
    if hidden:
        return f"{key}: the value (secret) is not allowed; must be {place.allowed}"
    end = ""
    if kind == "string_type" and isinstance(value, bool | int | float):
        end = "; put it in quotes"
    elif place.key == "locations" and place.below and isinstance(value, str):
        end = countries.correction(value)
    elif kind == "literal_error" and isinstance(value, str):
        end = hint(value, _choices(place), all_told=True)
    if isinstance(value, str) and not value.isascii():
        end = f"; {odd_character(value)}{end}"
    return f"{key} = {shown_value(value)}: must be {place.allowed}{end}"


def _unknown_key(place: _Place, *, key: str, hidden: bool) -> str:
    known = place.model.model_fields
    if hidden and place.run:
        return f"{key.rpartition('.')[0]}.*: unknown key"
    if place.run and place.key in StackKeys.model_fields:
        return (
            f"{key}: is no key of one run, all runs share it; set {PROJECT_NAMESPACE}:{place.key}"
        )
    root = place.key.split(".")[0].split("[")[0]
    if root in known and root != place.key:
        return (
            f"{key}: unknown key; `pulumi config rm {key}` removes it, and what lies within {root} "
            "is set with `pulumi config set --path`"
        )
    return f"{key}: unknown key{hint(place.key, known)}"


def _bad_name(place: _Place, *, key: str, hidden: bool) -> str:
    if place.key == "buildArgs":
        near = "" if hidden else hint(place.below[0], get_args(BuildArg))
        return f"{key}: unknown build argument{near}"
    if place.key == "runs":
        return (
            f"{key}: a run's name must be 1 to 32 lower-case letters, digits and hyphens, no "
            "hyphen at the ends"
        )
    return f"{key}: must be the name of a setting"


def _choices(place: _Place) -> tuple[str, ...]:
    return get_args(place.model.model_fields[place.key].annotation)


def shown_value(value: Any) -> str:
    """Return a value as a message shows it: as it was written, on one line, cut when long."""
    # The engine hands numbers over as text: the quotes would be ours, not the user's.
    bare = isinstance(value, str) and value.isprintable() and value.strip()
    try:
        text = value if bare else json.dumps(value, default=str)
    except (ValueError, RecursionError):
        text = "a value that cannot be shown"
    return _cut(without_secrets(text))  # first: without its end no address can be told


def _on_one_line(name: str) -> str:
    return _cut(without_secrets(name if name.isprintable() else json.dumps(name)[1:-1]))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
