"""The known word that is most like an unknown one, for messages; pure, standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

NEAR = 0.6


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
