"""Where a machine did not work, and why: one object of the bucket, of all its runs; pure, no I/O.

Written with the operator's key. A place is forgotten after a while: what was broken gets mended,
and io.net tells no machine's own name by which a mended one could be known.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from container.contract.clock import moment

KEY: Final = "bad-places.json"
SCHEMA: Final = 1
REMEMBERED_FOR: Final = timedelta(days=7)
MOST: Final = 200


class BadPlacesError(ValueError):
    """The object cannot be read: no JSON, a member missing, or written by a newer version."""


@dataclass(frozen=True, kw_only=True)
class BadPlace:
    """One kind of hardware at one place, with what was wrong there, when, and for which run."""

    hardware_id: str
    location: str  # as the vendor names it: an ID, or a country
    reason: str
    at: datetime
    run: str = ""

    def is_of(self, hardware_id: int | str, location: int | str) -> bool:
        """Whether that hardware at that place is meant; IDs of the vendor are numbers or text."""
        return (self.hardware_id, self.location) == (str(hardware_id), str(location))

    @property
    def why_not(self) -> str:
        """Why it is left out, as a list of candidates says it."""
        until = self.at + REMEMBERED_FOR
        return f"did not work on {self.at:%Y-%m-%d} ({self.reason}); tried again from {until:%m-%d}"


BadPlaces = tuple[BadPlace, ...]


def standing(places: BadPlaces, *, now: datetime) -> BadPlaces:
    """Return those that are not forgotten yet."""
    return tuple(one for one in places if one.at + REMEMBERED_FOR > now)


def with_place(places: BadPlaces, place: BadPlace) -> BadPlaces:
    """Return the places with one more, in the stead of what was known of it; no forgotten ones."""
    others = (one for one in places if not one.is_of(place.hardware_id, place.location))
    return (*standing(tuple(others), now=place.at), place)[-MOST:]


def to_json(places: BadPlaces) -> bytes:
    """Return the object as UTF-8 JSON, with a final newline."""
    rows = [{**asdict(one), "at": f"{one.at:%Y-%m-%dT%H:%M:%SZ}"} for one in places]
    return (json.dumps({"schema": SCHEMA, "places": rows}, indent=1) + "\n").encode()


def from_json(raw: bytes) -> BadPlaces:
    """Parse the object; raises BadPlacesError."""
    try:
        members = cast("dict[str, Any]", json.loads(raw))
        if members["schema"] > SCHEMA:
            raise BadPlacesError(f"schema {members['schema']}, this program reads up to {SCHEMA}")
        return tuple(_place(one) for one in members["places"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, BadPlacesError):
            raise
        raise BadPlacesError(f"not a list of bad places ({type(error).__name__})") from None


def _place(members: dict[str, Any]) -> BadPlace:
    at = moment(str(members["at"]))
    texts = {key: members[key] for key in ("hardware_id", "location", "reason")}
    texts["run"] = members.get("run") or ""
    if at is None or not all(isinstance(one, str) and _shown(one) for one in texts.values()):
        raise ValueError("no place")
    return BadPlace(at=at, **texts)


def _shown(text: str) -> bool:
    return text.isprintable() or not text
