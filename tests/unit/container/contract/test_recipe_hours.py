"""How long a run takes with its settings: parameters x tokens, and what the rest takes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest

from container.contract.recipe import Recipe, SettingValue, as_asked, known_recipes, load_recipe

SIZES = ("nanochat-d20", "nanochat-d24", "nanochat-d26", "nanochat-d32")


def hours(recipe: Recipe, settings: Mapping[str, SettingValue]) -> float:
    return recipe.hours_with({**recipe.values(), **settings})


@pytest.mark.parametrize("name", known_recipes())
def test_a_recipe_as_it_is_takes_what_it_says(name: str) -> None:
    recipe = load_recipe(name)
    assert hours(recipe, {}) == pytest.approx(recipe.expected_hours)


@pytest.mark.parametrize(("one", "other"), [*product(SIZES, SIZES)])
def test_recipes_give_one_anothers_hours_within_the_margin(one: str, other: str) -> None:
    wanted = load_recipe(other)
    keys = ("depth", "target_param_data_ratio")
    computed = hours(load_recipe(one), {key: wanted.values()[key] for key in keys})
    assert computed == pytest.approx(wanted.expected_hours, rel=0.2)


@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [
        ({"num_iterations": 100}, 0.8, 1.0),
        ({"num_iterations": 9960}, 2.5, 2.9),  # twice the steps
        ({"target_param_data_ratio": 24.0}, 2.6, 2.8),
        ({"depth": 32}, 13, 16),
        ({"total_batch_size": 1_048_576, "num_iterations": 5000}, 1.7, 1.9),
        ({"sft_iterations": 10_000}, 2.0, 2.5),
        ({"core_max_per_task": -1}, 1.8, 2.0),
        ({"save_every": 100}, 1.8, 1.8),
    ],
    ids=str,
)
def test_settings_that_change_the_length_change_the_hours(
    settings: dict[str, SettingValue], least: float, most: float
) -> None:
    assert least <= hours(load_recipe("nanochat-d20"), settings) <= most


@pytest.mark.parametrize(
    ("name", "settings", "stage", "step", "least", "most"),
    [
        ("nanochat-d20", {}, "base", 0, 1.0, 1.0),
        ("nanochat-d20", {"num_iterations": 4000}, "base", 2000, 0.75, 0.8),
        ("nanochat-d20", {"num_iterations": 4000}, "base", 4000, 0.5, 0.6),
        ("nanochat-d20", {"num_iterations": 4000}, "base", 9999, 0.5, 0.6),  # fewer since
        ("nanochat-d20", {"num_iterations": 4000}, "sft", 100, 0.5, 0.6),
        ("nanochat-speedrun", {}, "mid", 1, 0.1, 0.5),
        ("rehearsal", {}, "base", 20, 1.0, 1.0),  # nothing of it is timed
    ],
)
def test_what_a_checkpoint_has_of_base_training_is_not_counted_again(
    name: str,
    settings: dict[str, SettingValue],
    stage: str,
    step: int,
    least: float,
    most: float,
) -> None:
    recipe = as_asked(load_recipe(name), settings=settings, commit="")
    assert least <= recipe.share_left(stage=stage, step=step) <= most
