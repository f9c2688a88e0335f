"""What an error answer of io.net says, and whether it is about the key; pure, no HTTP.

How errors look is documented for one case only (`detail`, a string or pydantic's list). Others were
reported: `key_set` and nothing else for a bad key, "Invalid API key provided!", a `message`.
"""

from __future__ import annotations

import re
from typing import Any, cast

from components.ionet import json_shapes

MOST_LETTERS = 300
_SPOKEN = ("detail", "message", "error", "error_message", "msg", "title", "errors", "description")
_THE_KEY = re.compile(r"\bapi[ _-]?key\b|\bx-api-key\b", re.IGNORECASE)
_IS_WRONG = re.compile(
    r"invalid|not valid|incorrect|wrong|expired|revoked|disabled|inactive|not active|missing"
    r"|required|unknown|not found|not exist|malformed|unauthori[sz]ed|not authori[sz]ed"
    r"|forbidden|denied|not allowed|rejected|refused|provide a|no api key|bad api key",
    re.IGNORECASE,
)


def problem_text(answer: Any) -> str:
    """Return what an error answer says in words; "" when there are none."""
    return _words(answer)[:MOST_LETTERS]


def is_about_the_key(answer: Any, *, text: str = "") -> bool:
    """Tell whether a clear refusal (a 4xx) refuses the key, by `key_set` alone or by its words.

    `text` is the body where it is no JSON.
    """
    if isinstance(answer, dict) and "key_set" in answer and "detail" not in answer:
        return True
    says = problem_text(answer) or text[:MOST_LETTERS]
    return bool(_THE_KEY.search(says) and _IS_WRONG.search(says))


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(filter(None, map(_item, cast("list[Any]", value))))
    if not isinstance(value, dict):
        return ""
    members = cast("dict[str, Any]", value)
    return next(filter(None, (_words(members.get(name)) for name in _SPOKEN)), "")


def _item(item: Any) -> str:
    members = json_shapes.rows([item])
    if members and "msg" in members[0]:
        parts: list[Any] = members[0].get("loc") or []
        place = ".".join(str(part) for part in parts)
        return f"{place}: {members[0]['msg']}"
    return _words(item)
