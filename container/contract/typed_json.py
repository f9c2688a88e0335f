"""JSON members to a frozen dataclass, each held to the type that it is declared with.

What stands in a bucket may be cut, edited, or another program's: whoever reads it must be able to
rely on the types. Standard library only.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

T = TypeVar("T")

_LARGEST = 2**63  # no size, count or duration of a run is larger; Python's integers have no end
_SHOWN = 24
_MISSING = dataclasses.MISSING
_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def typed(kind: type[T], members: Mapping[str, Any]) -> T:
    """Return the dataclass that these members make; unknown ones are ignored.

    Raises ValueError that names the member at fault. A float that may be None is a measurement,
    which may have come to no number: a loss that diverged is one.
    """
    hints = _hints(kind)
    given: dict[str, Any] = {}
    for field in dataclasses.fields(cast("Any", kind)):
        if field.name in members:
            given[field.name] = _value(hints[field.name], members[field.name], field.name)
        elif field.default is _MISSING and field.default_factory is _MISSING:
            raise ValueError(f"{field.name} is missing")
    return kind(**given)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, value: Any, place: str) -> Any:
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [one for one in of if one is not types.NoneType]
        return None if value is None else _value(inner, _measured(inner, value), place)
    if origin is Literal:
        if not isinstance(value, str) or value not in of:
            raise _wrong(place, value, f"one of {', '.join(of)}")
        return value
    if origin is list and isinstance(value, list):
        found = cast("list[Any]", value)
        return [_value(of[0], one, f"{place}[{n}]") for n, one in enumerate(found)]
    if dataclasses.is_dataclass(hint):
        if type(value) is hint:  # made before, by the record's own reading
            return value
        if not isinstance(value, dict):
            raise _wrong(place, value, "an object")
        try:
            return typed(cast("type[Any]", hint), cast("dict[str, Any]", value))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    return _plain(origin or hint, value, place)


def _plain(kind: Any, value: Any, place: str) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, _Measured):
        return float(value.number)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in (int, float) and number and -_LARGEST <= value <= _LARGEST:  # false for no number
        if kind is float or value == int(value):
            return kind(value)
    elif kind is str and isinstance(value, str) and _is_text(value):
        return value
    elif kind in (bool, dict) and isinstance(value, kind):
        return cast("Any", value)
    raise _wrong(place, value, _NAMES[kind])


@dataclasses.dataclass(frozen=True)
class _Measured:
    number: float


def _measured(hint: Any, value: Any) -> Any:
    """Mark a float that may be of any size, or no number at all."""
    return _Measured(value) if hint is float and isinstance(value, float) else value


def _is_text(value: str) -> bool:
    """Say whether it can be written: half of a surrogate pair cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _wrong(place: str, value: Any, allowed: str) -> ValueError:
    found = "null" if value is None else _NAMES[cast("Any", type(value))]
    if isinstance(value, str | float) and len(str(value)) <= _SHOWN:
        found = ascii(value)
    return ValueError(f"{place} is {found}, and must be {allowed}")
