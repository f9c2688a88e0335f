"""How a run stands, which source is trusted, how long it will take: tables of decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from container.contract.records import StageStatus
from runs.view import standing
from runs.view.standing import Heartbeat, Line, Sample, View, WatchLimits
from tests.runs_builders import BEAT, status, verdict

NOW = datetime(2026, 11, 23, 10, 0, 30, tzinfo=UTC)
LATER = "2026-11-23T10:00:12+00:00"


@pytest.mark.parametrize(
    ("outcome", "beat_age_s", "waited_s", "expected"),
    [
        ("succeeded", 5, 0, "succeeded"),
        ("failed", 99_999, 0, "failed"),
        ("stopped", None, 99_999, "stopped"),
        (None, None, 0, "waiting"),
        (None, None, 1799, "waiting"),
        (None, None, 1800, "gone"),
        (None, 0, 0, "running"),
        (None, 59, 9999, "running"),
        (None, 60, 0, "quiet"),
        (None, 599, 0, "quiet"),
        (None, 600, 0, "gone"),
    ],
)
def test_only_a_verdict_ends_a_run_and_silence_turns_quiet_then_gone(
    outcome: Any, beat_age_s: float | None, waited_s: float, expected: str
) -> None:
    found = verdict(outcome=outcome) if outcome else None
    stands = standing.stand(
        verdict=found, beat_age_s=beat_age_s, waited_s=waited_s, limits=WatchLimits()
    )
    assert stands == expected


@pytest.mark.parametrize("beat_age_s", [None, 0, 99_999])
def test_a_machine_that_can_write_no_verdict_has_failed_by_its_own_word(
    beat_age_s: float | None,
) -> None:
    """It was counted as alive, or as waiting, for its whole rental."""
    asked: dict[str, Any] = {"beat_age_s": beat_age_s, "waited_s": 0, "limits": WatchLimits()}
    assert standing.stand(verdict=None, no_verdict="its clock", **asked) == "failed"
    assert standing.stand(verdict=verdict(), no_verdict="its clock", **asked) == "succeeded"


@pytest.mark.parametrize(
    ("live", "stored", "expected"),
    [
        (None, None, "nowhere"),
        ({}, None, "machine"),
        (None, {}, "bucket"),
        ({}, {}, "machine"),
        ({"beat_at": LATER}, {}, "machine"),
        ({}, {"beat_at": LATER}, "bucket"),
        ({"attempt": 2}, {"beat_at": LATER}, "machine"),
        ({"beat_at": LATER}, {"attempt": 2}, "bucket"),
        ({"beat_at": "nonsense"}, {}, "bucket"),
        ({"beat_at": "nonsense"}, {"beat_at": "nonsense"}, "machine"),
    ],
    ids=[
        "nobody said anything",
        "only the machine did",
        "only the bucket did",
        "at a draw the machine is asked",
        "the machine is ahead",
        "the bucket is ahead",
        "a later attempt on the machine beats a later beat",
        "a later attempt in the bucket beats a later beat",
        "an unreadable beat is no beat",
        "two unreadable beats are a draw",
    ],
)
def test_the_later_attempt_is_trusted_then_the_later_beat(
    live: dict[str, Any] | None, stored: dict[str, Any] | None, expected: str
) -> None:
    on_machine = None if live is None else status(**live)
    in_bucket = None if stored is None else status(**stored)
    found, origin = standing.newest(on_machine, in_bucket)
    assert origin == expected
    assert found is {"machine": on_machine, "bucket": in_bucket, "nowhere": None}[expected]


def test_the_first_beat_is_as_old_as_its_own_clock_says() -> None:
    heard = standing.hear(None, BEAT, now=NOW, now_s=100.0)
    assert standing.age_s(heard, now_s=100.0) == 30.0
    assert standing.age_s(heard, now_s=107.0) == 37.0


def test_a_beat_that_changes_is_fresh_even_when_the_machines_clock_is_hours_behind() -> None:
    heard = standing.hear(None, "2026-11-23T04:00:00+00:00", now=NOW, now_s=100.0)
    assert standing.age_s(heard, now_s=100.0) > 3600
    heard = standing.hear(heard, "2026-11-23T04:00:12+00:00", now=NOW, now_s=112.0)
    assert standing.age_s(heard, now_s=113.0) == 1.0


def test_a_beat_that_the_machine_itself_answers_is_fresh_whatever_its_clock_says() -> None:
    """Watched on its page, a machine whose clock is an hour behind was gone at the first look."""
    heard = standing.hear(None, "2026-11-23T04:00:00+00:00", now=NOW, now_s=100.0, live=True)
    assert standing.age_s(heard, now_s=101.0) == 1.0


def test_the_same_beat_again_does_not_make_a_machine_younger() -> None:
    heard = standing.hear(None, BEAT, now=NOW, now_s=100.0)
    again = standing.hear(heard, BEAT, now=NOW + timedelta(seconds=50), now_s=150.0)
    assert standing.age_s(again, now_s=150.0) == 80.0


@pytest.mark.parametrize("beat", ["", "nonsense", "2999-01-01T00:00:00+00:00"])
def test_an_unreadable_beat_or_one_from_the_future_counts_as_new(beat: str) -> None:
    assert standing.hear(None, beat, now=NOW, now_s=7.0) == Heartbeat(
        beat_at=beat, seen_s=7.0, known_age_s=0.0
    )


@pytest.mark.parametrize(
    ("standings", "expected"),
    [
        ([], 0),
        (["succeeded"], 0),
        (["succeeded", "stopped"], 3),
        (["succeeded", "gone"], 4),
        (["stopped", "gone"], 4),
        (["succeeded", "failed", "gone", "stopped"], 1),
    ],
)
def test_watch_exits_with_the_worst_of_all_runs(standings: list[Any], expected: int) -> None:
    assert standing.exit_code(standings) == expected


@pytest.mark.parametrize(
    ("samples", "members", "expected"),
    [
        ([Sample(0, "base", 100), Sample(10, "base", 120)], {"step": 120}, 140.0),
        ([Sample(0, "base", 120)], {"step": 120}, 23.333),
        ([], {"step": 0}, None),
        ([], {"step": None}, None),
        ([], {"total_steps": None}, None),
        ([], {"total_steps": 0}, None),
        ([Sample(0, "base", 399), Sample(5, "base", 400)], {"step": 400}, 0.0),
        ([Sample(0, "base", 500), Sample(5, "base", 505)], {"step": 505}, 0.0),
    ],
    ids=[
        "from the rate seen",
        "from the stage's own time while one step was seen",
        "nothing done yet",
        "a stage without steps",
        "no total",
        "a total of nothing",
        "at the end",
        "past its announced end",
    ],
)
def test_the_seconds_left_of_a_stage(
    samples: list[Sample], members: dict[str, Any], expected: float | None
) -> None:
    found = standing.stage_eta_s(samples, status(**members))
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-3))


@pytest.mark.parametrize(
    ("before", "members", "now_s", "expected"),
    [
        ([], {}, 5.0, [(5.0, 120)]),
        ([Sample(0, "base", 100)], {}, 5.0, [(0, 100), (5.0, 120)]),
        ([Sample(0, "base", 120)], {}, 5.0, [(0, 120)]),
        ([Sample(0, "tokenizer", 100)], {}, 5.0, [(5.0, 120)]),
        ([Sample(0, "base", 300)], {}, 5.0, [(5.0, 120)]),
        ([Sample(0, "base", 10), Sample(90, "base", 90)], {}, 130.0, [(90, 90), (130.0, 120)]),
        ([Sample(0, "base", 10)], {"step": None}, 5.0, []),
    ],
    ids=[
        "the first look",
        "one step further",
        "standing still adds nothing",
        "another stage starts afresh",
        "going back, which a resumed run does, starts afresh",
        "what is too old says nothing about now",
        "a stage without steps has no rate",
    ],
)
def test_the_rate_is_taken_from_recent_steps_of_the_same_stage(
    before: list[Sample],
    members: dict[str, Any],
    now_s: float,
    expected: list[tuple[float, int]],
) -> None:
    found = standing.sampled(before, status(**members), now_s=now_s)
    assert [(sample.at_s, sample.step) for sample in found] == expected


def view(**members: Any) -> View:
    """A running view."""
    return View(
        run="main",
        prefix="dev-main",
        standing=members.pop("standing", "running"),
        verdict=members.pop("verdict", None),
        status=status(**members),
    )


@pytest.mark.parametrize(
    ("members", "now_s", "expected"),
    [
        ({}, 99.0, False),
        ({"step": 121}, 4.9, False),
        ({"step": 121}, 5.0, True),
        ({"stage": "sft"}, 0.1, True),
        ({"attempt": 2}, 0.1, True),
        ({"standing": "quiet"}, 0.1, True),
        ({"in_time": "no"}, 0.1, True),
        ({"verdict": verdict(stage="base"), "standing": "succeeded"}, 0.1, True),
    ],
    ids=[
        "standing still is silent for ever",
        "a step right after the last line waits",
        "a step five seconds later is told",
        "a new stage is told at once",
        "a new attempt is told at once",
        "a new standing is told at once",
        "a new forecast of the bought time's end is told at once",
        "the verdict is told at once",
    ],
)
def test_a_log_gets_a_line_when_something_changed(
    members: dict[str, Any], now_s: float, expected: bool
) -> None:
    last = Line(standing="running", stage="base", attempt=1, step=120, at_s=0.0)
    assert standing.worth_a_line(last, view(**members), now_s=now_s, every_s=5.0) is expected


def test_the_first_look_is_always_told() -> None:
    assert standing.worth_a_line(None, view(), now_s=0.0, every_s=5.0)


def test_losses_are_thinned_out_but_the_first_and_the_last_stay() -> None:
    losses: list[float] = []
    for step in range(1000):
        losses = standing.losses_seen(losses, status(loss=1000.0 - step))
    assert losses[0] == 1000.0
    assert losses[-1] == 1.0
    assert len(losses) <= standing.LOSSES_KEPT
    assert losses == sorted(losses, reverse=True)


def test_what_comes_next_are_the_stages_that_wait() -> None:
    stages = [StageStatus(name="base", state="running"), StageStatus(name="sft", state="waiting")]
    assert standing.stages_left(stages) == ["sft"]


def test_after_the_verdict_its_numbers_count() -> None:
    found = view(verdict=verdict(stage="flush", elapsed_s=150.0, dollars=0.02))
    assert (found.stage, found.elapsed_s, found.dollars) == ("flush", 150.0, 0.02)
