"""A JSON answer as its members' names and types, and of some members what they held; pure.

What a vendor answers holds addresses, variables and other people's names: only members that tell
how the service counts and what words it uses are shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from container.contract.redacted import without_secrets

MAX_SHOWN = 6
MAX_LENGTH = 80

SHOWN = frozenset(
    {
        "amount_paid",
        "available",
        "available_replicas",
        "brand_name",
        "completed_percent",
        "compute_minutes_remaining",
        "compute_minutes_served",
        "created_at",
        "detail",
        "discount",
        "finished_at",
        "gpus_per_container",
        "hardware_name",
        "hardware_quantity",
        "ionet_fee",
        "ionet_fee_percent",
        "iso2",
        "key_set",
        "location",
        "max_gpus_per_container",
        "message",
        "num_cards",
        "price",
        "remaining",
        "served",
        "sold_out",
        "started_at",
        "status",
        "statuses",
        "time",
        "total",
        "total_containers",
        "total_cost_usdc",
        "total_gpus",
        "uptime_percent",
    }
)
"""Members whose values tell how the service counts, prices and words what it does."""

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "text", type(None): "null"}


def outline(answer: Any) -> list[str]:
    """Return one line a member, by its path: types as met, and up to six of its values.

    `data.deployments[].status: text (running, destroyed)`
    """
    types: dict[str, dict[str, None]] = {}
    values: dict[str, dict[str, None]] = {}
    for path, value in _members(answer, path=""):
        types.setdefault(path, {})[_type_of(value)] = None
        name = path.rsplit(".", 1)[-1].removesuffix("[]")
        if name in SHOWN and not isinstance(value, dict | list) and value is not None:
            text = without_secrets(str(value))
            shown = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
            values.setdefault(path, {})[shown] = None
    return [_line(path, list(kinds), list(values.get(path, {}))) for path, kinds in types.items()]


def _line(path: str, kinds: list[str], values: list[str]) -> str:
    shown = ", ".join(values[:MAX_SHOWN])
    more = f", and {len(values) - MAX_SHOWN} more" if len(values) > MAX_SHOWN else ""
    return f"{path or '(the answer)'}: {' or '.join(kinds)}" + (
        f" ({shown}{more})" if values else ""
    )


def _members(value: Any, *, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if not value:
            yield path, value
        for name, member in cast("dict[str, Any]", value).items():
            # A variable's name says what a run is about, its value more: neither is shape.
            below = "*" if path.endswith(("env_variables", "secret_env_variables")) else name
            yield from _members(member, path=f"{path}.{below}" if path else below)
    elif isinstance(value, list):
        if not value:
            yield f"{path}[]", value
        for member in cast("list[Any]", value):
            yield from _members(member, path=f"{path}[]")
    else:
        yield path, value


def _type_of(value: Any) -> str:
    if isinstance(value, list):
        return "empty list"
    return "empty object" if isinstance(value, dict) else _TYPES[type(value)]
