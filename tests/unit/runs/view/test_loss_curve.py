"""The loss curve: metrics of several attempts become one history."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.contract.records import Metric
from runs.view import loss_curve
from tests.runs_builders import jsonl, metric


def steps(metrics: list[Metric], stage: str = "base") -> list[tuple[int, float | None]]:
    return [(m.step, m.loss) for m in metrics if m.stage == stage]


def test_a_later_attempt_overwrites_the_steps_that_it_did_again() -> None:
    first = [metric("base", n, loss=10.0 - n) for n in range(5)]
    second = [metric("base", n, loss=20.0 - n) for n in (2, 3)]
    assert steps(loss_curve.merge([*first, *second])) == [(0, 10), (1, 9), (2, 18), (3, 17)]


def test_steps_that_the_later_attempt_has_not_reached_again_are_not_shown_as_done() -> None:
    first = [metric("base", n, loss=1.0) for n in range(100)]
    assert len(loss_curve.merge([*first, metric("base", 60, loss=2.0)])) == 61


def test_a_restart_within_one_attempt_counts_the_same() -> None:
    found = loss_curve.merge([metric("base", n, loss=float(n)) for n in (0, 1, 2, 1, 2, 3)])
    assert [m.step for m in found] == [0, 1, 2, 3]


def test_an_evaluation_and_a_training_line_of_one_step_are_one_entry() -> None:
    found = loss_curve.merge([metric("base", 10, val_bpb=1.1), metric("base", 10, loss=2.0)])
    assert [(m.step, m.val_bpb, m.loss) for m in found] == [(10, 1.1, 2.0)]


def test_stages_keep_their_own_steps() -> None:
    found = loss_curve.merge(
        [metric("base", 5, loss=3.0), metric("sft", 0, loss=2.0), metric("base", 6, loss=2.9)]
    )
    assert steps(found) == [(5, 3.0), (6, 2.9)]
    assert steps(found, "sft") == [(0, 2.0)]


@given(st.lists(st.tuples(st.sampled_from(["base", "sft"]), st.integers(0, 20)), max_size=60))
def test_a_history_never_goes_back_and_ends_where_the_run_is(seen: list[tuple[str, int]]) -> None:
    found = loss_curve.merge(metric(stage, step, loss=1.0) for stage, step in seen)
    for stage in {stage for stage, _ in seen}:
        history = [m.step for m in found if m.stage == stage]
        assert history == sorted(set(history))
        assert history[-1] == [step for s, step in seen if s == stage][-1]


def test_objects_are_read_in_the_order_of_their_numbers_and_strangers_left_out() -> None:
    names = ["10-00000", "2-00010", "2-00002", "1-99999"]
    keys = [f"p/metrics/{name}.jsonl" for name in names]
    assert loss_curve.in_order([*keys, "p/metrics/readme.txt", "p/metrics/1-2-3.jsonl"]) == [
        "p/metrics/1-99999.jsonl",
        "p/metrics/2-00002.jsonl",
        "p/metrics/2-00010.jsonl",
        "p/metrics/10-00000.jsonl",
    ]


def test_a_cut_line_and_a_newer_member_do_not_hide_the_rest() -> None:
    whole = jsonl(metric("base", 1, loss=2.5))
    newer = whole.replace(b'"loss"', b'"phase": 7, "loss"')
    found = list(loss_curve.parse(whole + newer + b"[1]\n" + whole[:-9]))
    assert [m.loss for m in found] == [2.5, 2.5]


def test_csv_has_a_header_and_empty_cells() -> None:
    rows = list(csv.DictReader(loss_curve.csv_lines([metric("base", 1, loss=2.5)])))
    assert rows[0]["step"] == "1"
    assert rows[0]["loss"] == "2.5"
    assert rows[0]["val_bpb"] == ""


def test_json_leaves_out_what_is_absent() -> None:
    (found,) = loss_curve.as_json([metric("base", 1, loss=2.5)])
    assert "val_bpb" not in found
    assert found["loss"] == 2.5


@pytest.mark.parametrize("colour", [False, True])
def test_the_drawing_fits_the_terminal_and_names_where_it_begins_and_ends(colour: bool) -> None:
    metrics = [metric("base", n, loss=6.0 - n / 50, val_bpb=1.0) for n in range(200)]
    (picture,) = loss_curve.pictures(metrics, run="main", width=80, colour=colour)
    assert "main base" in picture
    assert "6.0000 → 2.0200" in picture
    assert ("\x1b" in picture) is colour
    if not colour:
        assert max(len(line) for line in picture.splitlines()) <= 80


@pytest.mark.parametrize(
    ("steps_seen", "expected"),
    [
        ([], []),
        ([7], [7]),
        ([0, 3], [0, 1, 2, 3]),
        ([1, 199], [50, 100, 150]),
        ([0, 16_704], [0, 5000, 10000, 15000]),
    ],
)
def test_ticks_are_round_steps_within_the_curve(steps_seen: list[int], expected: list[int]) -> None:
    assert loss_curve.round_ticks(steps_seen) == expected
