"""When a deployment that no account shows may be forgotten; the rest: provider/test_stories.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from components.ionet.rental.give_back import FORGET, how_to_forget, why_forgotten

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rented", "hours", "env", "why"),
    [
        (timedelta(hours=28), 5, {}, ""),
        (timedelta(hours=29), 5, {}, "taken for ended: its 5 h have been over for more than a day"),
        (timedelta(hours=1), 5, {}, ""),
        (None, 5, {}, ""),
        (None, 5, {FORGET: "dep-1"}, f"forgotten, as {FORGET} says"),
        (None, 5, {FORGET: "dep-2"}, ""),
        (None, 5, {FORGET: "1"}, ""),
    ],
)
def test_only_time_or_a_deliberate_act_forgets_what_may_bill(
    rented: timedelta | None, hours: int, env: dict[str, str], why: str
) -> None:
    rented_at = NOW - rented if rented else None
    found = why_forgotten("dep-1", rented_at=rented_at, hours=hours, now=NOW, env=env)
    assert found == why


def test_the_remedy_names_the_time_from_which_on_it_counts_as_ended() -> None:
    text = how_to_forget("dep-1", rented_at=NOW, hours=5)
    assert "From 2026-11-26 17:00 UTC on it counts as ended." in text
    assert f"{FORGET}=dep-1 pulumi destroy" in text
