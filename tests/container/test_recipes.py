"""The recipes as data: what holds for each, and what a wrong value is told."""

from __future__ import annotations

import pytest

from container.contract.recipe import (
    Recipe,
    Stage,
    apply_settings,
    known_recipes,
    load_recipe,
    render_argv,
)
from container.recipes.rehearsal import TEST_SETTINGS

NANOCHAT = [name for name in known_recipes() if name.startswith("nanochat")]
ON_GPUS = [name for name in NANOCHAT if name != "nanochat-cpu"]


def stage(recipe: Recipe, name: str) -> Stage:
    return next(one for one in recipe.stages if one.name == name)


def test_all_recipes_of_the_plan_are_there() -> None:
    assert known_recipes() == [
        "nanochat-cpu",
        "nanochat-d20",
        "nanochat-d24",
        "nanochat-d26",
        "nanochat-d32",
        "nanochat-speedrun",
        "nanochat-trial",
        "rehearsal",
    ]


@pytest.mark.parametrize("name", known_recipes())
def test_stages_are_named_once_and_background_stages_are_needed_by_a_later_one(name: str) -> None:
    names = [one.name for one in load_recipe(name).stages]
    assert len(set(names)) == len(names)
    for number, one in enumerate(load_recipe(name).stages):
        if one.needed_by:
            assert one.needed_by in names[number + 1 :]
        assert set(one.only_for) <= set(names)


@pytest.mark.parametrize("name", known_recipes())
def test_base_training_saves_while_it_runs_and_can_resume(name: str) -> None:
    recipe = load_recipe(name)
    base = stage(recipe, "base")
    assert "--save-every={save_every}" in base.argv
    assert recipe.values()["save_every"] != -1
    assert base.resume_argv == ("--resume-from-step={resume_step}",)
    assert base.progress == "nanochat"
    assert any(upload.kind == "checkpoint" for upload in base.uploads)


@pytest.mark.parametrize("name", NANOCHAT)
def test_nothing_that_may_hang_or_fail_stands_between_the_last_step_and_the_save(name: str) -> None:
    """karpathy/nanochat #446: CORE before the last save lost whole runs."""
    base = stage(load_recipe(name), "base")
    assert "--core-metric-every=-1" in base.argv
    assert "--sample-every=-1" in base.argv


@pytest.mark.parametrize("name", NANOCHAT)
def test_only_the_evaluations_of_chat_models_run_their_code_and_without_credentials(
    name: str,
) -> None:
    recipe = load_recipe(name)
    runs_it = [one for one in recipe.stages if one.runs_model_code]
    evaluations = {one for one in ("mid_eval", "eval") if one in {s.name for s in recipe.stages}}
    assert {one.name for one in runs_it} == evaluations
    assert not any(one.needs_credentials for one in runs_it)
    # The SFT of old asks questions with given answers only.
    has_chatcore = name != "nanochat-speedrun"
    assert ("--chatcore-every=-1" in stage(recipe, "sft").argv) == has_chatcore


@pytest.mark.parametrize("name", NANOCHAT)
def test_the_model_tag_is_given_to_every_stage_that_reads_or_writes_a_model(name: str) -> None:
    """Without it nanochat takes the tag with the largest number."""
    for one in load_recipe(name).stages:
        if one.name in ("base", "base_loss", "base_eval", "mid", "mid_eval", "sft", "eval"):
            assert "{tag}" in " ".join(one.argv), one.name


@pytest.mark.parametrize("name", ON_GPUS)
def test_the_first_step_may_take_as_long_as_compiling_does(name: str) -> None:
    for one in load_recipe(name).stages:
        if one.progress == "nanochat":
            assert one.first_step_limit_s >= 1800
            assert one.step_limit_s >= 600


@pytest.mark.parametrize("world_size", [1, 8])
@pytest.mark.parametrize("name", ON_GPUS)
def test_every_rank_of_a_machine_reduces_before_anything_is_fetched(
    name: str, world_size: int
) -> None:
    """Without enough /dev/shm they cannot: https://github.com/NVIDIA/nccl/issues/342."""
    check = load_recipe(name).all_reduce
    assert check is not None
    argv = render_argv(check.argv, {"world_size": world_size})
    assert f"--nproc_per_node={world_size}" in argv
    assert argv[-2:] == ["-m", "container.nanochat.all_reduce"]
    assert check.silence_limit_s <= 60, "a machine that is hopeless is to end in its first minute"


@pytest.mark.parametrize("name", ON_GPUS)
def test_larger_models_ask_for_more_hours_and_room_for_three_checkpoints(name: str) -> None:
    step_gb = {
        "nanochat-d20": 6.6,
        "nanochat-d24": 10.0,
        "nanochat-d26": 12.7,
        "nanochat-d32": 20.5,
        "nanochat-speedrun": 5.0,
        "nanochat-trial": 0.3,
    }
    recipe = load_recipe(name)
    shards = recipe.values()["shards"]
    assert isinstance(shards, int)
    assert recipe.disk_bytes >= (3 * step_gb[name] + 0.1 * shards) * 1e9
    assert (recipe.gpu_type, recipe.gpus) == ("H100 SXM", 1 if name == "nanochat-trial" else 8)
    sizes = [one for one in ON_GPUS if one.startswith("nanochat-d")]
    hours = [load_recipe(one).expected_hours for one in sizes]
    assert hours == sorted(hours)


def test_nanochat_on_cpu_keeps_the_sequence_that_its_sft_needs() -> None:
    """karpathy/nanochat #590: shorter rows make the loss NaN, and exit code 0."""
    assert load_recipe("nanochat-cpu").values()["max_seq_len"] == 2048


def test_the_test_profile_of_the_rehearsal_is_accepted_and_smaller() -> None:
    recipe = load_recipe("rehearsal")
    small = apply_settings(recipe, TEST_SETTINGS).values()
    for name in ("depth", "num_iterations", "sft_iterations"):
        assert float(small[name]) < float(recipe.values()[name])


@pytest.mark.parametrize("name", known_recipes())
def test_every_setting_says_what_it_is_and_is_used(name: str) -> None:
    recipe = load_recipe(name)
    argv = [item for one in recipe.stages for item in (*one.argv, *one.env.values())]
    text = " ".join((*argv, recipe.tag))
    for key, setting in recipe.settings.items():
        assert setting.help
        assert f"{{{key}" in text, key


@pytest.mark.parametrize("name", known_recipes())
def test_no_stage_is_left_with_an_unfilled_argument(name: str) -> None:
    recipe = load_recipe(name)
    values = recipe.values() | {
        "workdir": "/workspace",
        "app": "/app",
        "python": "python",
        "tag": "d4",
        "device_batch_size": recipe.device_batch_size,
        "world_size": 8,
        "resume_step": 100,
        "mirror_url": "http://mirror",
        "wandb_run": "dummy",
        "nanochat_commit": recipe.nanochat_commit,
    }
    for one in recipe.stages:
        for item in render_argv((*one.argv, *one.resume_argv), values):
            assert "{" not in item
