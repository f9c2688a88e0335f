"""The commit that a stack's one image holds: refused before anything is rented, or it works."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.components.config.test_compatibility import PAID
from tests.unit.components.config.test_settings import PAID_ENV, load, problems

D20, SPEEDRUN = {"recipe": "nanochat-d20"}, {"recipe": "nanochat-speedrun"}
CPU = {"recipe": "nanochat-cpu", "gpuType": "CPU", "gpusPerContainer": 1}
LAST_MID = "348fbb301b8b709ad5d59bdf69e99a51982f594a"
HEAD = "92d63d4e8bb4df75c3b71618f31ddde2378b2bcd"
NOT_LISTED = ("deadbeef", "deadbeef" * 5, "c6abcdf", "a91743c", "1ddaad1", "788dade")
NAMES = ("master", "main", "HEAD", "origin/master", "v1.0", "dc54a", "DC54A1A")


@pytest.mark.parametrize("recipe", [D20, SPEEDRUN, CPU, {**CPU, "recipe": "rehearsal"}], ids=str)
@pytest.mark.parametrize("commit", [*NOT_LISTED, *NAMES])
def test_a_commit_outside_the_table_is_refused_with_the_ranges_that_work(
    recipe: dict[str, Any], commit: str
) -> None:
    """It was rented for: at 348fbb3 shards arrive in another folder, deadbeef is nowhere."""
    text = problems(PAID_ENV, **{**PAID, **recipe, "nanochatCommit": commit})
    assert text.count(f"trainstack:nanochatCommit = {commit}: ") == 1
    assert "1 problem " in text
    own = {"nanochat-speedrun": ["b62a5bc", "348fbb3"]}.get(recipe["recipe"], ["dc54a1a", HEAD[:7]])
    for end in own:
        assert end in text
    assert "an empty one takes the recipe's own" in text


@pytest.mark.parametrize(
    ("recipe", "commit", "said"),
    [
        (D20, LAST_MID, "is nanochat with midtraining, which is for nanochat-speedrun."),
        (D20, LAST_MID[:7], "is nanochat with midtraining, which is for nanochat-speedrun."),
        (CPU, "d58fcd9", "is nanochat with midtraining, which is for nanochat-speedrun."),
        (SPEEDRUN, "dc54a1a", "is nanochat without midtraining, which is for nanochat-cpu,"),
        (SPEEDRUN, HEAD, "is nanochat without midtraining, which is for nanochat-cpu,"),
    ],
)
def test_a_recipe_and_a_commit_must_both_have_midtraining_or_neither(
    recipe: dict[str, Any], commit: str, said: str
) -> None:
    text = problems(PAID_ENV, **{**PAID, **recipe, "nanochatCommit": commit})
    assert f"trainstack:nanochatCommit = {commit}: {said}" in text


@pytest.mark.parametrize(
    ("recipe", "commit"),
    [
        (D20, "dc54a1a"),
        (D20, "dc54a1a3077cab11d68fac4c5d1cd5c51f5d8c7a"),
        (D20, HEAD[:7]),
        (SPEEDRUN, "d58fcd9"),
        (SPEEDRUN, LAST_MID[:10]),
        (SPEEDRUN, LAST_MID),
        (CPU, HEAD),
    ],
)
def test_a_listed_commit_is_taken_as_it_is_written(recipe: dict[str, Any], commit: str) -> None:
    """The hash of a training has it in: another spelling would be another training."""
    settings = load(PAID_ENV, **{**PAID, **recipe, "nanochatCommit": commit})
    assert settings.runs[0].nanochat_commit == commit
    assert settings.image.build_args["NANOCHAT_COMMIT"] == commit


def test_runs_that_ask_for_different_commits_are_refused_as_they_share_one_image() -> None:
    """The first run's commit was built, and the others trained with it or failed."""
    runs = {"guide": SPEEDRUN, "today": D20, "larger": {"recipe": "nanochat-d24"}}
    text = problems(PAID_ENV, **{**PAID, "runs": runs})
    assert (
        "trainstack:runs: the runs of one stack share one image, which holds one commit of "
        "nanochat, and these ask for different ones: guide (nanochat-speedrun) for d58fcd9; today "
        "(nanochat-d20) and larger (nanochat-d24) for dc54a1a; put them into different stacks"
    ) in text
    assert "1 problem " in text


def test_in_a_stack_each_they_are_taken() -> None:
    guide = load(PAID_ENV, **{**PAID, "runs": {"guide": SPEEDRUN}})
    today = load(PAID_ENV, **{**PAID, "runs": {"today": D20, "larger": {"recipe": "nanochat-d24"}}})
    assert guide.image.build_args["NANOCHAT_COMMIT"].startswith("d58fcd9")
    assert today.image.build_args["NANOCHAT_COMMIT"].startswith("dc54a1a")


def test_with_nothing_for_the_commit_the_recipes_own_is_taken() -> None:
    settings = load(PAID_ENV, **{**PAID, **SPEEDRUN, "nanochatCommit": ""})
    assert settings.image.build_args["NANOCHAT_COMMIT"].startswith("d58fcd9")


def test_a_commit_that_only_some_runs_can_use_is_refused_for_the_others() -> None:
    runs = {"guide": SPEEDRUN, "today": D20}
    text = problems(PAID_ENV, **{**PAID, "nanochatCommit": LAST_MID, "runs": runs})
    assert "nanochat-d20 works with 7b70f6b" in text
    assert "nanochat-speedrun works with" not in text


@pytest.mark.parametrize(("recipe", "extra"), [(D20, "gpu"), (SPEEDRUN, "gpu"), (CPU, "cpu")])
def test_the_image_has_pytorch_for_what_its_recipe_trains_on(
    recipe: dict[str, Any], extra: str
) -> None:
    settings = load(PAID_ENV, **{**PAID, **recipe})
    assert settings.image.build_args["NANOCHAT_EXTRA"] == extra


def test_runs_on_gpus_and_on_processors_are_refused_as_they_share_one_image() -> None:
    """The first run's PyTorch was built, and the others would find no GPU on a rented machine."""
    runs = {"small": CPU, "today": D20}
    text = problems(PAID_ENV, **{**PAID, "runs": runs})
    assert (
        "trainstack:runs: the runs of one stack share one image, which has PyTorch for GPUs or for "
        "processors; put small, on CPU, into a stack of its own"
    ) in text
    assert "1 problem " in text
    for run, recipe in runs.items():
        load(PAID_ENV, **{**PAID, "runs": {run: recipe}})


@pytest.mark.parametrize(
    ("given", "args"),
    [
        ("", {}),
        ("none", {"FA3_REVISION": "none"}),
        ("ab" * 20, {"FA3_REVISION": "ab" * 20}),
        (f"{'ab' * 20}@sha256:{'c' * 64}", {"FA3_REVISION": "ab" * 20, "FA3_SHA256": "c" * 64}),
    ],
)
def test_the_revision_of_flash_attention_is_a_key(given: str, args: dict[str, str]) -> None:
    settings = load(PAID_ENV, **{**PAID, **D20, "flashAttention": given})
    found = settings.image.build_args
    assert {name: text for name, text in found.items() if name.startswith("FA3_")} == args


@pytest.mark.parametrize("given", ["main", "dc54a1a", "ab" * 20 + "@sha256:abc", "None"])
def test_a_revision_that_may_move_is_refused(given: str) -> None:
    text = problems(PAID_ENV, **{**PAID, **D20, "flashAttention": given})
    assert f"trainstack:flashAttention = {given}: must be REVISION or" in text
