"""The nanochat recipes against the flag tables of the commits that they may be run with."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from container.contract.recipe import (
    Recipe,
    SettingValue,
    Stage,
    known_recipes,
    load_recipe,
    render,
    render_argv,
)
from container.nanochat import chat, prepare
from container.recipes._nanochat_stages import PYTHON, TORCHRUN

STANDIN = Path(__file__).with_name("standin_nanochat.py")
NANOCHAT = [name for name in known_recipes() if name.startswith("nanochat")]
COMMITS = {
    name: ("guide", "last_mid") if name == "nanochat-speedrun" else ("may", "head")
    for name in NANOCHAT
}
"""The ends of what each may be run with, as tests/container/nanochat_parsers.py calls them; the
first is the one that it is written for."""
OF_TODAY = [name for name in NANOCHAT if COMMITS[name][0] == "may"]


def values(recipe: Recipe, workdir: Path, *, world_size: int) -> dict[str, SettingValue]:
    given = recipe.values() | {
        "workdir": str(workdir),
        "app": str(Path.cwd()),
        "device_batch_size": recipe.device_batch_size,
        "world_size": world_size,
        "wandb_run": "dummy",
        "port": 8001,
    }
    return given | {"tag": render(recipe.tag, given)}


def run(
    argv: list[str], workdir: Path, *, commit: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command line of a recipe with the stand-in in nanochat's place."""
    launcher = {PYTHON: "python", TORCHRUN: "torchrun"}[argv[0]]
    environment = {
        "PATH": os.environ["PATH"],
        "NANOCHAT_BASE_DIR": str(workdir),
        "STANDIN_COMMIT": commit,
        **more,
    }
    command = [sys.executable, str(STANDIN), launcher, *argv[1:]]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=workdir
    )


def run_stage(
    recipe: Recipe, stage: Stage, workdir: Path, *, commit: str, resume_step: int | None = None
) -> subprocess.CompletedProcess[str]:
    given = values(recipe, workdir, world_size=max(recipe.gpus, 1))
    argv = stage.argv
    if resume_step is not None:
        given["resume_step"] = resume_step
        argv = (*argv, *stage.resume_argv)
    return run(render_argv(argv, given), workdir, commit=commit)


def is_ours(stage: Stage) -> bool:
    return any(item.startswith("container.") for item in stage.argv)


@pytest.mark.parametrize(
    ("name", "commit"), [(name, commit) for name in NANOCHAT for commit in COMMITS[name]]
)
def test_every_stage_has_the_flags_of_the_commit_and_leaves_what_it_promises(
    name: str, commit: str, tmp_path: Path
) -> None:
    recipe = load_recipe(name)
    (tmp_path / "eval_bundle").mkdir()
    (tmp_path / "eval_bundle" / "core.yaml").touch()
    given = values(recipe, tmp_path, world_size=max(recipe.gpus, 1))
    for stage in recipe.stages:
        if is_ours(stage):
            continue
        done = run_stage(recipe, stage, tmp_path, commit=commit)
        assert done.returncode == 0, f"{stage.name}: {done.stderr}"
        for pattern in stage.outputs:
            assert list(tmp_path.glob(render(pattern, given))), f"{stage.name}: {pattern}"


@pytest.mark.parametrize("name", NANOCHAT)
def test_base_training_resumes_with_the_flags_of_the_recipe(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    base = next(one for one in recipe.stages if one.name == "base")
    save_every = int(recipe.values()["save_every"])
    for commit in COMMITS[name]:
        assert run_stage(recipe, base, tmp_path, commit=commit).returncode == 0
        again = run_stage(recipe, base, tmp_path, commit=commit, resume_step=save_every)
        assert again.returncode == 0, again.stderr
        missing = run_stage(recipe, base, tmp_path, commit=commit, resume_step=save_every + 1)
        assert missing.returncode == 1


def test_a_recipe_does_not_run_at_a_commit_of_the_other_generation(tmp_path: Path) -> None:
    """This is what a commit without a look cost: each fails after hours that were paid for."""
    for name, commit, stage in (
        ("nanochat-speedrun", "may", "mid"),
        ("nanochat-d20", "last_mid", "base"),
    ):
        recipe = load_recipe(name)
        chosen = next(one for one in recipe.stages if one.name == stage)
        assert run_stage(recipe, chosen, tmp_path, commit=commit).returncode > 0


@pytest.mark.parametrize("name", OF_TODAY)
def test_the_learning_rate_of_sft_ends_at_zero_and_never_below(name: str, tmp_path: Path) -> None:
    """nanochat counts batches, not steps; below zero the last steps would unteach."""
    recipe = load_recipe(name)
    stages = {one.name: one for one in recipe.stages}
    assert run_stage(recipe, stages["base"], tmp_path, commit="may").returncode == 0
    done = run_stage(recipe, stages["sft"], tmp_path, commit="may")
    rates = [float(rate) for rate in re.findall(r"lrm: (\S+)", done.stdout)]
    assert rates[-1] == min(rates) == 0, done.stderr


@pytest.mark.parametrize("name", NANOCHAT)
def test_the_chat_has_the_flags_of_the_pinned_commit_and_of_our_own(
    name: str, tmp_path: Path
) -> None:
    recipe = load_recipe(name)
    assert recipe.chat is not None
    argv = render_argv(recipe.chat.argv, values(recipe, tmp_path, world_size=1))
    assert argv[1:3] == ["-m", "container.nanochat.chat"]
    theirs = [argv[0], "-m", "scripts.chat_web", *argv[3:]]
    assert run(theirs, tmp_path, commit=COMMITS[name][0]).returncode == 0
    assert chat.arguments_parser().parse_args(argv[3:]).host == "127.0.0.1"


@pytest.mark.parametrize("name", NANOCHAT)
def test_our_own_programs_take_the_arguments_that_the_recipe_gives(
    name: str, tmp_path: Path
) -> None:
    recipe = load_recipe(name)
    given = values(recipe, tmp_path, world_size=1)
    for stage in recipe.stages:
        if "container.nanochat.prepare" in stage.argv:
            arguments = render_argv(stage.argv[3:], given)
            taken = prepare.arguments_parser().parse_args(arguments)
            assert recipe.nanochat is not None
            if taken.what in ("begin", "shards"):
                assert taken.folder == recipe.nanochat.shards
                assert taken.validation_shard == recipe.nanochat.validation_shard
            if taken.what == "sft":
                assert taken.question_sets == list(recipe.nanochat.question_sets)


@pytest.mark.parametrize(
    "wrong",
    ["--device_batch_size=16", "--depth=twenty", "--no-such-flag=1", "--fp8-recipe=best"],
)
def test_the_stand_in_refuses_what_nanochat_would_refuse(wrong: str, tmp_path: Path) -> None:
    argv = [PYTHON, "-m", "scripts.base_train", "--depth=4", wrong]
    assert run(argv, tmp_path, commit="may").returncode == 2


def test_a_gpu_count_that_does_not_divide_the_batch_ends_at_start(tmp_path: Path) -> None:
    argv = [TORCHRUN, "--standalone", "--nproc_per_node=3", "-m", "scripts.base_train", "--"]
    done = run([*argv, "--device-batch-size=16"], tmp_path, commit="may")
    assert done.returncode == 1
    assert "must be a multiple of" in done.stderr


def test_the_head_commit_has_no_chat_and_no_report(tmp_path: Path) -> None:
    for module in ("scripts.chat_web", "nanochat.report"):
        assert run([PYTHON, "-m", module], tmp_path, commit="head").returncode == 1
        assert run([PYTHON, "-m", module], tmp_path, commit="may").returncode == 0
