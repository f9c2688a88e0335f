"""How one variable's text is read and written; a reader's ValueError says what follows its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, cast


def prefix(value: str) -> str:
    """Read a run prefix, without slashes at its ends."""
    return value.strip("/")


def address(value: str) -> str:
    """Read an address, without a slash at its end."""
    return value.rstrip("/")


def switch(value: str) -> bool:
    """Read true or false."""
    if value.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"={value.lower()!r} is neither true nor false")
    return value.lower() in ("true", "1")


def whole(value: str) -> int:
    """Read a whole number, 0 or more."""
    try:
        number = int(value)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(f"={value!r} is not a whole number")
    return number


def money(value: str) -> Decimal:
    """Read an amount of dollars, 0 or more."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise ValueError(f"={value!r} is not an amount")
    return number


def json_object(value: str) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        parsed: object = json.loads(value)
    except ValueError as error:
        raise ValueError(f" is not JSON ({error})") from None
    if not isinstance(parsed, dict):
        raise ValueError(" is not a JSON object")
    return cast("dict[str, Any]", parsed)


def lower(value: object) -> str:
    """Write true or false."""
    return str(value).lower()


def json_text(value: object) -> str:
    """Write a mapping as JSON, in the order of its names."""
    return json.dumps(dict(cast("Mapping[str, Any]", value)), sort_keys=True)


def seconds(value: str) -> float:
    """Read whole seconds."""
    return float(whole(value))


def whole_seconds(value: object) -> str:
    """Write seconds, what is below one cut off."""
    return str(int(cast("float", value)))
