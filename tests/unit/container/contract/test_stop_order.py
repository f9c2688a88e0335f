"""When a save is worth waiting for, and when it has come."""

from __future__ import annotations

import pytest

from container.contract.recipe import known_recipes, load_recipe
from container.contract.stop_order import (
    NextSave,
    StopOrder,
    has_come,
    is_worth_waiting,
    next_saved_step,
)


@pytest.mark.parametrize(
    ("step", "total", "every", "expected"),
    [
        (0, 100, 10, (10, False)),
        (8, 100, 10, (10, False)),
        (9, 100, 10, (10, False)),  # its line is told, the save behind it may be under way
        (10, 100, 10, (20, False)),
        (95, 100, 10, (100, True)),
        (95, 98, 10, (98, True)),
        (5, None, 10, (10, False)),  # nobody knows how long it is
        (5, 100, 0, (100, True)),
        (5, None, 0, None),
        (120, 118, 0, (121, True)),  # a total that was made of a percentage
    ],
)
def test_the_next_save_is_the_next_multiple_or_the_end(
    step: int, total: int | None, every: int, expected: tuple[int, bool] | None
) -> None:
    assert next_saved_step(step=step, total_steps=total, every=every) == expected


@pytest.mark.parametrize(
    ("in_s", "left_s", "expected"),
    [(190.0, 900.0, True), (900.0, 900.0, True), (901.0, 900.0, False), (0.0, 0.0, False)],
)
def test_a_save_is_waited_for_if_it_is_due_within_the_bound(
    in_s: float, left_s: float, *, expected: bool
) -> None:
    ahead = NextSave(stage="base", step=2000, in_s=in_s)
    assert is_worth_waiting(ahead, left_s=left_s) is expected
    assert not is_worth_waiting(None, left_s=left_s)


@pytest.mark.parametrize(
    ("stage", "step", "is_last", "expected"),
    [
        ("base", 1999, False, False),
        ("base", 2000, False, True),
        ("base", None, False, False),
        ("base", 2003, True, False),  # the total was a guess: only the stage's end tells
        ("sft", 0, True, True),
        ("sft", 0, False, True),
    ],
)
def test_a_save_has_come_when_the_step_behind_it_is_told_or_the_stage_has_ended(
    stage: str, step: int | None, *, is_last: bool, expected: bool
) -> None:
    awaited = NextSave(stage="base", step=2000, in_s=10.0, is_last=is_last)
    assert has_come(awaited, stage=stage, step=step) is expected


def test_an_order_is_read_back_as_it_was_written() -> None:
    order = StopOrder(holder="one", within_s=900.0, asked_at="2026-11-28T13:00:00Z")
    assert StopOrder.from_json(order.to_json()) == order


@pytest.mark.parametrize("recipe", known_recipes())
def test_a_stage_that_is_told_how_often_to_save_says_so_to_whoever_stops_it(recipe: str) -> None:
    for stage in load_recipe(recipe).stages:
        told = [one.partition("=")[2] for one in stage.argv if one.startswith("--save-every=")]
        if stage.progress == "nanochat":
            assert [one for one in (stage.saves_every,) if one] == told, stage.name
