"""A machine given back with proof: its run is asked to stop, saves, and is gone on with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.scratch_stack import Cloud, ScratchStack
from tests.e2e.test_main_job import NewStack, mine, read, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(900)]

SAVE_EVERY = 600  # half a minute on two idle cores
SETTINGS = {
    "depth": 2,
    "vocab_size": 512,
    "shards": 2,
    "num_iterations": 100_000,
    "save_every": SAVE_EVERY,
    "eval_every": 100_000,
}


def status_reader(cloud: Cloud, stack: ScratchStack) -> Callable[[], dict[str, Any]]:
    """Return what reads the run's status, {} while there is none."""
    outputs, s3 = stack.outputs(), cloud.operator_s3()

    def status() -> dict[str, Any]:
        try:
            found = read(s3, outputs["bucket"], f"{outputs['r2_prefix']}/status.json")
        except s3.exceptions.NoSuchKey:
            return {}
        return json.loads(found)

    return status


def flat(said: str) -> str:
    """What is said, without the receipt's line breaks."""
    return re.sub(r"\s+", " ", said)


def row(said: str, name: str) -> str:
    """One row of the last receipt within the engine's lines, on one line again."""
    block = re.sub(r"\n {14,}", " ", said[said.rindex("machine given back.") :])
    found = re.search(rf"^ *{name} {{2,}}(.*)$", block, re.M)
    assert found, said
    return found[1]


def test_a_replacement_waits_for_the_save_from_which_the_new_machine_goes_on(
    new_stack: NewStack, cloud: Cloud
) -> None:
    """And a destroy says what was kept, lost, charged and refunded."""
    stack = new_stack(recipeSettings=SETTINGS)
    stack.up()
    status = status_reader(cloud, stack)
    wait_for(lambda: (status().get("next_save_s") or 0) >= 10, what="a save is due", within_s=240)

    stack.configure(locations=["FI"])
    said = stack.up()

    assert re.search(r"main: next save at step \d+ in \d+ ", said), said
    saved = re.search(r"the operator's order, after the save of step (\d+)", flat(said))
    assert saved, said
    step = int(saved[1])
    assert step % SAVE_EVERY == 0
    kept = row(said, "kept")
    assert re.search(r"all \d+ that the manifest and the checkpoints list are whole", kept)
    newest = re.search(r"(?:saved up to|its checkpoint of) step (\d+)\Z", row(said, "lost"))
    assert newest and int(newest[1]) >= step  # this trainer saves on SIGTERM, too
    assert len(mine(cloud, stack)) == 1
    again = status()
    wait_for(lambda: (status().get("step") or 0) >= step, what="it goes on", within_s=240)
    assert (again["attempt"], again["outcome"]) == (2, None)

    stack.env = {**stack.env, "TRAINSTACK_STOP_WITHIN": "15s"}
    said = stack.destroy()
    assert "main: stopped (stopped on request (the operator's order" in flat(said)
    assert row(said, "refunded").startswith("$0.00 (its record says $0.41 before")
    assert mine(cloud, stack) == []
