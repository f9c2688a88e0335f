"""Turns Pulumi's property values into plain Python ones and back; compares them.

Plain values are what JSON has, plus UNKNOWN for what a preview does not know yet.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.provider.experimental.provider import PropertyDiff, PropertyDiffKind
from pulumi.runtime import rpc


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""A value that is decided only when something else has been made."""


def plain(value: PropertyValue | None) -> Any:
    """Return the plain form; secrets in clear."""
    inner = None if value is None else value.value
    # The engine writes an unknown as a fixed text, which the SDK hands on as it is.
    if isinstance(inner, Computed) or inner == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(inner, float) and inner.is_integer():
        return int(inner)
    if inner is None or isinstance(inner, bool | float | str):
        return inner
    if isinstance(inner, Mapping):
        return {k: plain(v) for k, v in inner.items() if v.value is not None}
    if isinstance(inner, Sequence):
        return [plain(v) for v in inner]
    return repr(inner)  # assets and references: no resource here takes one


def plain_map(values: Mapping[str, PropertyValue]) -> dict[str, Any]:
    """Return the plain form of a resource's properties, without those that are null."""
    return {k: plain(v) for k, v in values.items() if v.value is not None}


def property_value(value: Any, *, secret: bool = False) -> PropertyValue:
    """Return Pulumi's form of a plain value."""
    if value is UNKNOWN:
        return unknown()
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    elif isinstance(value, dict):
        value = {k: property_value(v) for k, v in value.items()}
    elif isinstance(value, list):
        value = [property_value(v) for v in value]
    return PropertyValue(value, is_secret=secret)


def unknown() -> PropertyValue:
    """Return Pulumi's form of UNKNOWN: the SDK cannot write the one that it has a class for."""
    return PropertyValue(rpc.UNKNOWN)


def with_marks_of(value: Any, model: PropertyValue | None) -> PropertyValue:
    """Return Pulumi's form of a plain value, secret wherever the model is."""
    if model is None:
        return property_value(value)
    inner = model.value
    if isinstance(value, dict) and isinstance(inner, Mapping):
        marked: Any = {k: with_marks_of(v, inner.get(k)) for k, v in value.items()}
    elif isinstance(value, list) and isinstance(inner, Sequence) and not isinstance(inner, str):
        models = [*inner, *[None] * (len(value) - len(inner))]
        marked = [with_marks_of(v, m) for v, m in zip(value, models, strict=False)]
    else:
        return property_value(value, secret=model.is_secret)
    return PropertyValue(marked, is_secret=model.is_secret)


def has_unknown(value: Any) -> bool:
    """Say whether anything in a plain value is still unknown."""
    if isinstance(value, dict):
        return any(map(has_unknown, value.values()))
    if isinstance(value, list):
        return any(map(has_unknown, value))
    return value is UNKNOWN


def differences(
    old: Any, new: Any, path: str, *, replace: bool
) -> Iterator[tuple[str, PropertyDiff]]:
    """Yield each place where two plain values differ, as the engine writes paths: `a.b[0]`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from differences(
                old.get(key), new.get(key), f"{path}.{key}" if path else key, replace=replace
            )
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from differences(
                old[index] if index < len(old) else None,
                new[index] if index < len(new) else None,
                f"{path}[{index}]",
                replace=replace,
            )
    elif old != new or new is UNKNOWN:
        kind = "ADD" if old is None else "DELETE" if new is None else "UPDATE"
        name = f"{kind}_REPLACE" if replace else kind
        yield path, PropertyDiff(PropertyDiffKind[name], input_diff=True)
