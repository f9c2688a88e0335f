"""What there is, the nearest to a mistyped name first."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

One = TypeVar("One")


def nearest_first(
    wanted: str, known: Iterable[One], *, names_of: Callable[[One], Sequence[str]]
) -> list[One]:
    """Return what is known, in the order of how much the likest name of each is like `wanted`."""

    def likeness(one: One) -> float:
        return max(_likeness(wanted.lower(), name.lower()) for name in names_of(one))

    return sorted(known, key=likeness, reverse=True) if wanted else list(known)


def _likeness(wanted: str, name: str) -> float:
    return 1.0 if name.startswith(wanted) else difflib.SequenceMatcher(None, wanted, name).ratio()


def listed(wanted: str, known: Iterable[str]) -> str:
    """Return the known names in one line, the nearest first."""
    return ", ".join(nearest_first(wanted, dict.fromkeys(known), names_of=lambda name: [name]))
