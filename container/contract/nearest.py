"""The known words that are most like an unknown one, for messages; pure, standard library only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from typing import TypeVar

NEAR = 0.6

One = TypeVar("One")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word that is most like it, whatever its case and hyphens; "" of none."""
    return max(sorted(known), key=lambda one: _likeness(word, one), default="")


def hint(word: str, known: Iterable[str], *, all_told: bool = False) -> str:
    """Return what ends a message about an unknown word: the nearest known one.

    Where all that are known are told anyway, one that is not near is not said again.
    """
    one = nearest(word, known)
    if one and _likeness(word, one) >= NEAR:
        return f"; did you mean {one}?"
    return f"; the nearest known is {one}" if one and not all_told else ""


def nearest_first(
    word: str, known: Iterable[One], *, names_of: Callable[[One], Sequence[str]]
) -> list[One]:
    """Return what is known, in the order of how much the likest name of each is like the word."""

    def likeness(one: One) -> float:
        return max(_likeness(word, name) for name in names_of(one))

    return sorted(known, key=likeness, reverse=True) if word else list(known)


def listed(word: str, known: Iterable[str]) -> str:
    """Return the known words in one line, the nearest first."""
    return ", ".join(nearest_first(word, dict.fromkeys(known), names_of=lambda name: [name]))


def _likeness(word: str, known: str) -> float:
    """Return 0 to 1; a known text of several words is also as near as the nearest of them."""
    whole = _ratio(_letters(word), _letters(known))
    parts = [_ratio(_letters(word), _letters(part)) for part in known.split()]
    return max(whole, 0.95 * max(parts, default=0.0))


def _ratio(one: str, other: str) -> float:
    ratio = SequenceMatcher(None, one, other, autojunk=False).ratio()
    short, long = sorted((one, other), key=len)
    if len(short) >= 3 and short in long:
        return max(ratio, 0.7 + 0.3 * len(short) / len(long))
    return ratio


def _letters(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower()[:200])
