"""The terminal: results go to `out`, talk to `talk`; what a model says is made harmless."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from rich.console import Console

from container.contract.redacted import without_secrets
from runs.same_place import in_same_place

talk = Console(stderr=True)
out = Console()


def in_colour(console: Console) -> bool:
    """Say whether colours may be used: on a terminal that has them, where NO_COLOR is not set."""
    return console.color_system is not None and not console.no_color


def moves(console: Console) -> bool:
    """Say whether what is drawn can be drawn over: not in a file, nor where TERM is dumb."""
    return console.is_terminal and not console.is_dumb_terminal


def print_json(result: Any) -> None:
    """Print a result for machines."""
    print(json_text(result, indent=2))


def json_text(result: Any, *, indent: int | None = None) -> str:
    """Return a result as JSON, which knows no NaN and no infinity: those are null."""
    return json.dumps(_finite(result), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in cast("list[Any]", value)]
    return value


def harmless(text: str) -> str:
    """Return text from a model without what could steer a terminal."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def say(text: str, *, style: str | None = None) -> None:
    """Talk to the person at the terminal, beside the result."""
    shown = in_same_place(without_secrets(text))
    talk.print(shown, style=style, markup=False, highlight=False, soft_wrap=True)
