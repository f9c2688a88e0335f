"""What a stage's process is told, with everything filled in."""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import Any

import pytest

from container.contract.environment import RunEnvironment
from container.contract.recipe import load_recipe
from container.stages.context import RunContext
from container.storage.resume import PastAttempts


def context(*, gpu_type: str, gpus: int) -> RunContext:
    recipe = load_recipe("nanochat-d20")
    environment = RunEnvironment(
        run="main",
        prefix="p",
        recipe=recipe.name,
        settings={},
        endpoint="https://x",
        bucket="b",
        gpu_type=gpu_type,
        gpus_per_container=gpus,
    )
    known: dict[str, Any] = {
        "recipe": recipe,
        "environment": environment,
        "past": PastAttempts(
            attempt=1,
            earlier_s=0.0,
            run=None,
            stages={},
            markers={},
            artifacts=[],
            points=[],
            notes=[],
        ),
        "process_env": {},
        "device_batch_size": 16,
        "stop": threading.Event(),
        "kill": threading.Event(),
    }
    unused: dict[str, Any] = {
        one.name: None for one in fields(RunContext) if one.init and one.name not in known
    }
    return RunContext(**known, **unused)


@pytest.mark.parametrize(
    ("gpu_type", "gpus", "times"),
    [
        ("H100", 8, 1.0),
        ("H100 SXM", 8, 1.0),
        ("H100", 2, 4.0),
        ("H100 PCIe", 8, 1.6),
        ("8H100.80S.176V", 8, 1.0),
        ("A100", 8, 989 / 312),
        ("NVIDIA A100-SXM4-80GB", 8, 989 / 312),
        ("A100", 4, 2 * 989 / 312),
        ("H200", 8, 1.0),
    ],
)
def test_a_stage_has_as_much_time_as_the_machine_needs(
    gpu_type: str, gpus: int, times: float
) -> None:
    """On an A100 an evaluation was taken for a stall, by limits that an H100 keeps."""
    run = context(gpu_type=gpu_type, gpus=gpus)
    base = next(stage for stage in run.recipe.stages if stage.name == "base")
    command = run.command(base, resume_step=None)
    assert command.step_limit_s == pytest.approx(base.step_limit_s * times)
    assert command.time_limit_s == pytest.approx(base.time_limit_s * times)
    assert command.first_step_limit_s == base.first_step_limit_s
