"""The loss curve: metrics of several attempts become one history."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.contract import metrics
from container.contract.records import Metric
from tests.runs_builders import jsonl, metric


def steps(history: list[Metric], stage: str = "base") -> list[tuple[int, float | None]]:
    return [(m.step, m.loss) for m in history if m.stage == stage]


def test_a_later_attempt_overwrites_the_steps_that_it_did_again() -> None:
    first = [metric("base", n, loss=10.0 - n) for n in range(5)]
    second = [metric("base", n, loss=20.0 - n) for n in (2, 3)]
    assert steps(metrics.merge([*first, *second])) == [(0, 10), (1, 9), (2, 18), (3, 17)]


def test_steps_that_the_later_attempt_has_not_reached_again_are_not_shown_as_done() -> None:
    first = [metric("base", n, loss=1.0) for n in range(100)]
    assert len(metrics.merge([*first, metric("base", 60, loss=2.0)])) == 61


def test_a_restart_within_one_attempt_counts_the_same() -> None:
    found = metrics.merge([metric("base", n, loss=float(n)) for n in (0, 1, 2, 1, 2, 3)])
    assert [m.step for m in found] == [0, 1, 2, 3]


def test_an_evaluation_and_a_training_line_of_one_step_are_one_entry() -> None:
    found = metrics.merge([metric("base", 10, val_bpb=1.1), metric("base", 10, loss=2.0)])
    assert [(m.step, m.val_bpb, m.loss) for m in found] == [(10, 1.1, 2.0)]


def test_stages_keep_their_own_steps() -> None:
    found = metrics.merge(
        [metric("base", 5, loss=3.0), metric("sft", 0, loss=2.0), metric("base", 6, loss=2.9)]
    )
    assert steps(found) == [(5, 3.0), (6, 2.9)]
    assert steps(found, "sft") == [(0, 2.0)]


@given(st.lists(st.tuples(st.sampled_from(["base", "sft"]), st.integers(0, 20)), max_size=60))
def test_a_history_never_goes_back_and_ends_where_the_run_is(seen: list[tuple[str, int]]) -> None:
    found = metrics.merge(metric(stage, step, loss=1.0) for stage, step in seen)
    for stage in {stage for stage, _ in seen}:
        history = [m.step for m in found if m.stage == stage]
        assert history == sorted(set(history))
        assert history[-1] == [step for s, step in seen if s == stage][-1]


def test_objects_are_read_in_the_order_of_their_numbers_and_strangers_left_out() -> None:
    names = ["10-00000", "2-00010", "2-00002", "1-99999"]
    keys = [f"p/metrics/{name}.jsonl" for name in names]
    assert metrics.in_order([*keys, "p/metrics/readme.txt", "p/metrics/1-2-3.jsonl"]) == [
        "p/metrics/1-99999.jsonl",
        "p/metrics/2-00002.jsonl",
        "p/metrics/2-00010.jsonl",
        "p/metrics/10-00000.jsonl",
    ]


@pytest.mark.parametrize("member", ['"stage": 7', '"step": "1"', '"loss": "low"'])
def test_a_line_with_a_member_of_another_type_is_left_out(member: str) -> None:
    name = member.split(":")[0]
    line = json.dumps({"stage": "base", "step": 1, "at": "", "loss": 2.5})
    bad = re.sub(f"{name}: [^,}}]+", member, line)
    assert [m.loss for m in metrics.parse(f"{bad}\n{line}\n".encode())] == [2.5]


def test_a_cut_line_and_a_newer_member_do_not_hide_the_rest() -> None:
    whole = jsonl(metric("base", 1, loss=2.5))
    newer = whole.replace(b'"loss"', b'"phase": 7, "loss"')
    found = list(metrics.parse(whole + newer + b"[1]\n" + whole[:-9]))
    assert [m.loss for m in found] == [2.5, 2.5]
