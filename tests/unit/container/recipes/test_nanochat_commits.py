"""The table of commits: what a recipe may be run with, and what is the same in all of it."""

from __future__ import annotations

import re

import pytest

from container.contract.recipe import commit_misfit, known_recipes, load_recipe
from container.recipes._nanochat_commits import (
    GUIDES_COMMIT,
    TODAY,
    WITH_MIDTRAINING,
)
from tests import ROOT

GENERATIONS = (TODAY, WITH_MIDTRAINING)
NANOCHAT = [name for name in known_recipes() if name.startswith("nanochat")]


def test_each_commit_is_whole_and_lies_in_one_range() -> None:
    listed = [one for each in GENERATIONS for range_ in each.ranges for one in range_.commits]
    assert len(set(listed)) == len(listed)
    assert all(re.fullmatch("[0-9a-f]{40}", one) for one in listed)
    assert len({one[:7] for one in listed}) == len(listed)  # as most people write them
    for each in GENERATIONS:
        days = [day for one in each.ranges for day in (one.since, one.until)]
        assert days == sorted(days)


@pytest.mark.parametrize("name", NANOCHAT)
def test_a_recipe_works_with_the_commit_that_it_is_written_for(name: str) -> None:
    recipe = load_recipe(name)
    assert commit_misfit(recipe, recipe.nanochat_commit) == ""


@pytest.mark.parametrize("name", NANOCHAT)
def test_a_recipe_has_the_stages_and_the_folders_of_its_generation(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.nanochat is not None
    fetching = {"data", "shards", "eval_bundle", "sft_data"}
    stages = [one for one in recipe.stages if one.name not in fetching]
    assert tuple(one.name for one in stages) == recipe.nanochat.stages
    trained = {
        upload.key.removeprefix("checkpoints/"): upload.local
        for one in stages
        for upload in one.uploads
        if upload.kind == "checkpoint"
    }
    assert trained == recipe.nanochat.checkpoints


def test_the_guides_run_is_trained_at_a_commit_whose_d20_has_its_size() -> None:
    """d58fcd9: 20 layers of 12 x 1280^2, two tables of 65,536 x 1280; from a91743c on there are
    value embeddings besides, and 20 tokens for each of them."""
    recipe = load_recipe("nanochat-speedrun")
    assert recipe.nanochat_commit == GUIDES_COMMIT
    values = recipe.values()
    width = 64 * int(values["depth"])
    parameters = int(values["depth"]) * 12 * width**2 + 2 * int(values["vocab_size"]) * width
    assert round(parameters / 1e6) == 561
    tokens = parameters * int(values["target_param_data_ratio"])
    assert round(tokens / 1e9, 1) == 11.2
    assert tokens // int(values["total_batch_size"]) == 21_400


def test_the_image_that_is_built_by_hand_has_the_commit_that_a_bare_container_trains() -> None:
    assert f"ARG NANOCHAT_COMMIT={GUIDES_COMMIT}\n" in (ROOT / "container/Dockerfile").read_text()
