"""Values that people paste, such as keys: what is dropped around them, and what one may not hold.

Pure; standard library only. A value is never part of what is said about it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping

_BREAKS = frozenset("\r\n\t")


def cleaned(value: str) -> str:
    """Return the value without the white space around it, also what no eye sees.

    No-break and zero-width spaces, byte order marks and line ends come along when a page or a file
    is copied.
    """
    start, end = 0, len(value)
    while start < end and _is_blank(value[start]):
        start += 1
    while end > start and _is_blank(value[end - 1]):
        end -= 1
    return value[start:end]


def cleaned_all(
    values: Mapping[str, str], *, only: Collection[str] | None = None
) -> dict[str, str]:
    """Return a copy with the values cleaned, all of them or those of these names."""
    return {
        name: cleaned(value) if only is None or name in only else value
        for name, value in values.items()
    }


def flaw(name: str, value: str, *, lines: bool = False) -> str:
    """Return what is wrong with a cleaned key or address, "" for nothing; `name` begins the text.

    Only printable ASCII fits into a header or a signature. With `lines` the value may be of several
    lines, as a registry's JSON key is.
    """
    odd = odd_character(value, lines=lines)
    return f"{name}: {odd}, not printable ASCII; copy the key again" if odd else ""


def odd_character(value: str, *, lines: bool = False) -> str:
    """Return which character is the first outside printable ASCII, and where; "" for none."""
    for position, character in enumerate(value, start=1):
        if " " <= character <= "~" or (lines and character in _BREAKS):
            continue
        end = " (a line end)" if character in "\r\n" else ""
        return f"character {position} is U+{ord(character):04X}{end}"
    return ""


def _is_blank(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) == "Cf"
