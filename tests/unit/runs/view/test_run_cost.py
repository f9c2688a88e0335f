"""What a run cost, attempt by attempt, in exact money."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from container.contract.records import Attempt, RunRecord
from runs.view import tables
from runs.view.run_cost import RunCost, run_cost
from tests.runs_builders import status, verdict


def attempt(number: int, started_at: str) -> Attempt:
    return Attempt(
        number=number,
        started_at=f"2026-11-23T{started_at}+00:00",
        host="c0ffee",
        reason="restarted",
    )


def cost(**members: Any) -> RunCost:
    defaults: dict[str, Any] = {
        "run": "main",
        "prefix": "dev-main",
        "record": RunRecord(
            run="main",
            recipe="nanochat-d20",
            settings={},
            price_usd_per_hour=27.875342465753423,
            duration_hours=5,
        ),
        "attempts": [attempt(2, "11:00:00"), attempt(1, "10:00:00")],
        "status": status(),
        "verdict": verdict(ended_at="2026-11-23T14:30:00+00:00", elapsed_s=16_200, dollars=125.44),
        "size_bytes": 120_000_000_000,
    }
    return run_cost(**{**defaults, **members})


def test_whole_hours_are_bought_and_the_time_used_is_told_beside_them() -> None:
    found = cost()
    assert found.bought_usd == Decimal("139.376712328767115")
    assert found.used_usd == Decimal("125.44")
    assert found.storage_usd_per_month == Decimal("1.8")


def test_an_attempt_lasts_until_the_next_one_and_the_last_until_the_verdict() -> None:
    first, second = cost().attempts
    assert (first.number, first.elapsed_s) == (1, 3600.0)
    assert (second.number, second.elapsed_s) == (2, 12_600.0)
    assert first.usd == Decimal("27.875342465753423")


def test_a_live_run_is_counted_until_its_last_beat() -> None:
    found = cost(
        verdict=None,
        attempts=[attempt(1, "09:00:00")],
        status=status(beat_at="2026-11-23T10:00:00+00:00", dollars=27.88, elapsed_s=3600.0),
    )
    assert found.attempts[0].elapsed_s == 3600.0
    assert found.used_usd == Decimal("27.88")


def test_a_run_that_wrote_nothing_yet_costs_what_is_known() -> None:
    found = cost(record=None, attempts=[], status=None, verdict=None, size_bytes=0)
    assert (found.used_usd, found.bought_usd, list(found.attempts)) == (Decimal(0), Decimal(0), [])


def test_an_unreadable_time_is_not_a_negative_one() -> None:
    found = cost(attempts=[attempt(1, "nonsense"), attempt(2, "23:00:00")])
    assert [a.elapsed_s for a in found.attempts] == [0.0, 0.0]


def test_what_was_bought_is_the_stacks_word_where_there_is_one() -> None:
    found = cost(estimated_cost_usd="142.51")
    assert (found.bought_usd, found.bought_known) == (Decimal("142.51"), True)


@pytest.mark.parametrize("unknown", ["", "none", "NaN", "0"])
def test_price_times_hours_is_never_passed_off_as_the_bill(unknown: str) -> None:
    """The vendor adds fees, and the record knows no extension and no second rental."""
    found = cost(estimated_cost_usd=unknown)
    assert found.bought_known is False
    assert tables.cost_json(found)["bought_from"] == "hours first bought, without fees"
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.costs([found]))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "~$139.38" in told
