"""A machine given back with proof: its run is asked to stop, saves, and is gone on with."""

from __future__ import annotations

import re

import pytest

from tests.e2e.run_in_cloud import NewStack, Run, flat, mine, wait_for
from tests.e2e.scratch_stack import Cloud

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
    run = Run(stack, cloud)

    def a_save_is_due() -> bool:
        now = run.status()
        return now is not None and (now.next_save_s or 0) >= 10

    wait_for(a_save_is_due, what="a save is due", within_s=240)

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
    again = run.status()
    assert again is not None
    wait_for(lambda: run.trains_at(step, attempt=2), what="it goes on", within_s=240)
    assert (again.attempt, again.outcome) == (2, None)

    stack.env = {**stack.env, "TRAINSTACK_STOP_WITHIN": "15s"}
    said = stack.destroy()
    assert "main: stopped (stopped on request (the operator's order" in flat(said)
    assert row(said, "refunded").startswith("$0.00 (its record says $0.41 before")
    assert mine(cloud, stack) == []
