"""Taking JSON apart, from a vendor whose envelopes vary: what is missing is an error or None."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast


class WireError(ValueError):
    """An answer that is JSON but not of the shape that this program knows."""


def objects(answer: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in an answer, at any depth, the outer before the inner."""
    if isinstance(answer, dict):
        members = cast("dict[str, Any]", answer)
        yield members
        for value in members.values():
            yield from objects(value)
    elif isinstance(answer, list):
        for value in cast("list[Any]", answer):
            yield from objects(value)


def mapping(value: Any) -> dict[str, Any]:
    """Return an object, or raise WireError."""
    if not isinstance(value, dict):
        raise WireError("an object was expected")
    return cast("dict[str, Any]", value)


def member(answer: Any, name: str) -> Any:
    """Return a member of an object, or raise WireError."""
    members = mapping(answer)
    if name not in members:
        raise WireError(f"{name} is missing")
    return members[name]


def rows(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; nothing when it is no list."""
    if not isinstance(value, list):
        return []
    items = cast("list[Any]", value)
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def required(members: dict[str, Any], name: str, kind: type) -> Any:
    """Return a member of that kind, or raise WireError."""
    value = members.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise WireError(f"{name} is missing or no {kind.__name__}")
    return value


def integer(value: Any) -> int | None:
    """Return a whole number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value)


def decimal(value: Any) -> Decimal | None:
    """Return an amount, or None; a JSON number is taken by its shortest text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        return None
    return amount if amount.is_finite() else None
