"""The image started by hand with the guide's variables: it counts its GPUs, and trains."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from container.contract.environment import BadEnvironmentError, RunEnvironment
from container.contract.recipe import load_recipe
from container.supervisor.bare import as_found, commit_problem, with_gpus
from container.supervisor.machine_check import Gpu
from tests import ROOT
from tests.container.conftest import BUCKET, wait_for
from tests.container.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

ENVIRONMENT = RunEnvironment(run="main", settings={}, endpoint="", bucket="")
LAST_WITH_MIDTRAINING = "348fbb301b8b709ad5d59bdf69e99a51982f594a"
H100 = Gpu("NVIDIA H100 80GB HBM3", 80 * 2**30, "570")


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_the_gpus_that_are_here_are_counted(count: int) -> None:
    found = with_gpus(ENVIRONMENT, load_recipe("nanochat-d20"), [H100] * count)
    assert (found.gpu_type, found.world_size) == (H100.model, count)


def test_a_recipe_for_the_processor_counts_none() -> None:
    assert with_gpus(ENVIRONMENT, load_recipe("rehearsal"), [H100]) == ENVIRONMENT


def test_an_image_with_another_nanochat_than_the_recipes_is_refused_with_the_one_it_needs() -> None:
    """Its last commit with midtraining keeps its shards elsewhere: found after they had come."""
    asked = replace(ENVIRONMENT, recipe="nanochat-d20", nanochat_commit=LAST_WITH_MIDTRAINING)
    with pytest.raises(BadEnvironmentError, match="this image's nanochat, 348fbb3") as failed:
        as_found(asked, say=print)
    (wanted,) = re.findall(r"NANOCHAT_COMMIT=([0-9a-f]{40})", str(failed.value))
    assert not commit_problem(load_recipe("nanochat-d20"), commit=wanted)
    assert not commit_problem(load_recipe("rehearsal"), commit=wanted), "which has none of it"


@pytest.mark.parametrize(("count", "said"), [(0, "docker run --gpus all"), (6, "--gpus 4")])
def test_gpus_that_cannot_train_are_refused_with_the_remedy(count: int, said: str) -> None:
    with pytest.raises(BadEnvironmentError) as failed:
        with_gpus(ENVIRONMENT, load_recipe("nanochat-d20"), [H100] * count)
    assert said in str(failed.value)


def test_without_gpus_the_recipe_that_is_told_trains(s3: S3Server, tmp_path: Path) -> None:
    """The entry itself, with the guide's variables alone, as an image starts it."""
    seven = {
        "R2_ENDPOINT_URL": s3.endpoint,
        "R2_BUCKET_NAME": BUCKET,
        "R2_ACCESS_KEY_ID": ACCESS_KEY,
        "R2_SECRET_ACCESS_KEY": SECRET_KEY,
        "WANDB_RUN": "dummy",
        "KEEP_ALIVE": "true",
    }
    env = {"PATH": "/nowhere", "WORK_DIR": str(tmp_path), "TRAFFIC_PORT": "0", **seven}
    entry = [sys.executable, "-m", "container.supervisor"]
    refused = subprocess.run(
        entry,
        cwd=ROOT,
        env={**env, "RECIPE": "nanochat-d20"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 64
    (variable, recipe) = re.findall(r"set (RECIPE) to .*: (\S+)\s", refused.stderr)[0]
    process = subprocess.Popen(
        entry,
        cwd=ROOT,
        env={**env, "PATH": os.environ["PATH"], variable: recipe},
        stdout=(tmp_path / "log").open("w"),
        stderr=subprocess.STDOUT,
    )

    def log() -> str:
        return (tmp_path / "log").read_text()

    try:
        wait_for(lambda: "this run's prefix is nanochat-d4-" in log(), what=log)
        assert re.search(r"the token that opens the chat is [0-9a-f]{32}\n", log())
    finally:
        process.terminate()
        process.wait(30)
