"""A run that needs more hours than were bought, with the real engine and a real container.

The hours are over within minutes, as the vendor's clock of that one deployment is moved.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from container.contract.bought_time import BoughtTime
from container.contract.keys import BOUGHT_KEY
from tests.contract.caas_place import eventually
from tests.e2e.run_in_cloud import Run
from tests.e2e.scratch_stack import Cloud, ScratchStack

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(600)]

LONG = {
    "depth": 2,
    "vocab_size": 512,
    "shards": 2,
    "num_iterations": 100_000,
    "save_every": 20,
    "eval_every": 100_000,
}
SLOWLY_S = 240.0  # on a busy machine
LEFT = timedelta(minutes=8)  # less than the ten before the end in which a run is stopped


def test_a_run_whose_hours_run_out_saves_says_how_to_go_on_and_does(
    new_stack: Callable[..., ScratchStack], cloud: Cloud
) -> None:
    stack = new_stack(recipeSettings=LONG, durationHours=1, maxCostUsd=9)
    stack.up()
    run = Run(stack, cloud)
    eventually(lambda: run.trains_at(15, attempt=1), within_s=SLOWLY_S)

    raw = run.get(BOUGHT_KEY)
    assert raw, "until when it is paid was not told to the run"
    bought, left = BoughtTime.from_json(raw), timedelta(hours=1) - LEFT
    assert bought.end and timedelta() < bought.end - datetime.now(UTC) <= timedelta(hours=1)
    cloud.age(run.deployment_id, by=left)
    sooner = BoughtTime(rental=bought.rental, hours=1, ends_at=(bought.end - left).isoformat())
    run.put(BOUGHT_KEY, sooner.to_json())

    verdict = eventually(run.verdict, within_s=SLOWLY_S)
    assert verdict.outcome == "stopped"
    saved = re.fullmatch(r"hours over, after the save of step (\d+)", verdict.reason)
    assert saved, verdict.reason

    cloud.age(run.deployment_id, by=LEFT)
    eventually(
        lambda: f"-{stack.name}-" not in " ".join(cloud.live_deployments()), within_s=SLOWLY_S
    )
    told = stack.up()
    assert "its 1 h are over" in told
    assert f"To go on from step {saved[1]} of stage base" in told
    assert "pulumi config set trainstack:renew 1" in " ".join(told.split())

    stack.pulumi("config", "set", "trainstack:renew", "1", "--config-file", str(stack.config_file))
    stack.up()
    again = Run(stack, cloud)
    assert again.deployment_id != run.deployment_id
    assert again.outputs["r2_prefix"] == run.outputs["r2_prefix"]
    eventually(lambda: again.trains_at(int(saved[1]) + 5, attempt=2), within_s=SLOWLY_S)
    stack.destroy()
