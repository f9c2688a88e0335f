"""A machine that is rented for a run that goes on: its hours are for what is left of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.provider.builders import PREFIX, deployment
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import Props, ProviderProcess


def gpu_run(r2: FakeR2, **changes: Any) -> Props:
    """A run of seven hours of one H100, which leaves its hours open."""
    settings = json.dumps({"num_iterations": 4000})
    env = {"RECIPE": "nanochat-d20", "RECIPE_SETTINGS": settings, "RUN_PREFIX": PREFIX}
    timed = {"gpu": "H100", "hours": 7.0, "memoryGb": 0.0}
    plain = {"env": env, "gpuType": "H100", "autoHours": True, "timedFor": timed}
    return deployment(r2.url, **{**plain, "durationHours": 0.0, "maxCostUsd": 99.0, **changes})


def saved(r2: FakeR2, stage: str, step: int) -> None:
    r2.objects[f"/{BUCKET}/{PREFIX}/checkpoints/{stage}/d20/complete_{step:06d}.json"] = b"{}"


@pytest.mark.parametrize(
    ("stage", "step", "hours"),
    [("", 0, 9), ("base", 2000, 7), ("base", 4000, 5), ("sft", 100, 5)],
    ids=["nothing", "half of base training", "all of it", "a later stage"],
)
def test_hours_are_bought_for_what_is_left_after_the_newest_checkpoint(
    process: ProviderProcess, r2: FakeR2, stage: str, step: int, hours: int
) -> None:
    """As after a machine that vanished, one whose hours were over, and a run that was stopped."""
    if stage:
        saved(r2, stage, step)
    inputs, failures = process.check(gpu_run(r2))
    assert not failures
    assert inputs["durationHours"] == hours
    assert ("h are left of about" in process.said()) is bool(stage)


def test_a_machine_for_less_than_the_whole_run_is_rented(
    process: ProviderProcess, r2: FakeR2
) -> None:
    saved(r2, "base", 4000)
    inputs, _ = process.check(gpu_run(r2))
    _, state = process.create(inputs)
    assert state["durationHours"] == inputs["durationHours"]


@pytest.mark.parametrize("kind", ["a number", "another training"])
def test_what_was_asked_for_or_does_not_go_on_is_bought_whole(
    process: ProviderProcess, r2: FakeR2, kind: str
) -> None:
    saved(r2, "base", 4000)
    changes: Props = {"autoHours": False, "durationHours": 12.0}
    if kind == "another training":
        changes = {"r2Prefix": f"{PREFIX[:-8]}0ddba115"}
    inputs, failures = process.check(gpu_run(r2, **changes))
    assert not failures
    assert inputs["durationHours"] >= 9


def test_a_bucket_that_does_not_answer_costs_the_whole_run(
    process: ProviderProcess, r2: FakeR2
) -> None:
    saved(r2, "base", 4000)
    r2.refuses_words = "checkpoints"
    inputs, failures = process.check(gpu_run(r2))
    assert not failures
    assert inputs["durationHours"] == 9
