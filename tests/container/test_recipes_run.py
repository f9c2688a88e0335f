"""The nanochat recipes under the supervisor, with a stand-in in nanochat's place."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from container.contract.recipe import Recipe, known_recipes, load_recipe
from container.recipes._nanochat_stages import PYTHON, TORCHRUN
from container.storage.bucket import RunBucket
from tests.container.conftest import Launch

STANDIN = Path(__file__).with_name("standin_nanochat.py")
NANOCHAT = [name for name in known_recipes() if name.startswith("nanochat")]
OF_MIDTRAINING = (
    "checkpoints/mid/d20/model_",
    "checkpoints/mid/d20/complete_",
    "report/midtraining.md",
    "report/base-model-loss.md",
    "report/chat-evaluation-mid.md",
    "report/chat-sft.md",
)


def without_nanochat(recipe: Recipe, folder: Path, *, commit: str) -> Recipe:
    """Return the recipe with the stand-in for its programs, and no demand on the machine."""
    launchers = {PYTHON: "python", TORCHRUN: "torchrun"}
    stages = tuple(
        replace(
            one,
            argv=(sys.executable, str(STANDIN), launchers[one.argv[0]], *one.argv[1:]),
            cwd=str(folder),
            env={**one.env, "STANDIN_COMMIT": commit},
        )
        for one in recipe.stages
    )
    return replace(recipe, stages=stages, disk_bytes=0, chat=None)


@pytest.mark.parametrize("name", NANOCHAT)
def test_a_run_ends_with_its_model_its_tokenizer_and_its_report_in_the_bucket(
    name: str, launch: Launch, bucket: RunBucket, tmp_path: Path
) -> None:
    has_mid = name == "nanochat-speedrun"
    recipe = without_nanochat(load_recipe(name), tmp_path, commit="guide" if has_mid else "may")
    run = launch(recipe)
    assert run.verdict().outcome == "succeeded", run.log
    keys = bucket.list()
    tag = f"d{recipe.values()['depth']}"
    for prefix in (
        "tokenizer/tokenizer.pkl",
        "tokenizer/token_bytes.pt",
        f"checkpoints/base/{tag}/model_",
        f"checkpoints/base/{tag}/optim_",
        f"checkpoints/base/{tag}/complete_",
        f"checkpoints/sft/{tag}/model_",
        f"checkpoints/sft/{tag}/complete_",
        "report/report.md",
        "report/base-model-training.md",
        "report/chat-evaluation-sft.md",
        *(OF_MIDTRAINING if has_mid else ("report/sft.md",)),
    ):
        assert any(key.startswith(prefix) for key in keys), prefix
    if "eval_bundle" in {one.name for one in recipe.stages}:
        assert any(key.startswith("base_eval/base_model_") for key in keys)
    assert {one.state for one in run.status().stages} == {"done"}
