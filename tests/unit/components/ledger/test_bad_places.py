"""Where machines did not work: remembered once a place, forgotten after a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from components.ledger import bad_places
from components.ledger.bad_places import BadPlace, BadPlacesError

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def bad(location: str = "FI", *, days: float = 0, reason: str = "GPU 3 fails") -> BadPlace:
    at = NOW - timedelta(days=days)
    return BadPlace(hardware_id="8H100", location=location, reason=reason, at=at, run="main")


@pytest.mark.parametrize(("days", "stands"), [(0, True), (6.9, True), (7, False), (400, False)])
def test_a_bad_place_is_forgotten_after_a_week(days: float, stands: bool) -> None:
    assert bool(bad_places.standing((bad(days=days),), now=NOW)) is stands


def test_a_place_is_remembered_once_with_what_was_last_wrong_there() -> None:
    places = bad_places.with_place((bad(days=3), bad("US")), bad(reason="no heartbeat"))
    assert places == (bad("US"), bad(reason="no heartbeat"))


def test_what_is_forgotten_goes_when_something_is_added() -> None:
    assert bad_places.with_place((bad("US", days=8),), bad()) == (bad(),)


def test_the_object_comes_back_as_it_was_written() -> None:
    places = (bad("US", days=2), bad())
    assert bad_places.from_json(bad_places.to_json(places)) == places


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"schema": 2, "places": []}',
        b'{"schema": 1, "places": [{"hardware_id": 1}]}',
        b'{"schema": 1, "places": [{"hardware_id": "a", "location": "b", "reason": 1, "at": ""}]}',
    ],
)
def test_an_object_that_cannot_be_read_is_an_error_and_not_an_empty_list(raw: bytes) -> None:
    with pytest.raises(BadPlacesError):
        bad_places.from_json(raw)
