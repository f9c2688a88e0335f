"""A run whose machine's hours end: foretold, saved, stopped in time, and gone on with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from container.contract.bought_time import BoughtTime
from container.contract.keys import BOUGHT_KEY, VERDICT_KEY
from container.storage.bucket import RunBucket
from container.supervisor.hours_watch import Hours
from container.supervisor.supervisor import AGAIN
from tests.container.conftest import FAST, Launch, Running, wait_for
from tests.container.recipes import fake_recipe, file_stage, trainer_stage
from tests.unit.container.telemetry.mailbox import Mailbox, mailbox

RENTAL = "trainstack-dev-main-1a2b3c4d-cafe0001"
SAVES = ("--steps=400", "--save-every=20", "--step-s=0.05")  # 20 s in all


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as opened:
        yield opened


def slow_base(*flags: str) -> Any:
    return fake_recipe(trainer_stage(flags=flags or SAVES, saves_every="20"))


def bought(bucket: RunBucket, seconds: float, *, rental: str = RENTAL) -> None:
    end = datetime.now(UTC) + timedelta(seconds=seconds)
    bucket.put(BOUGHT_KEY, BoughtTime(rental=rental, hours=1, ends_at=end.isoformat()).to_json())


def hours(*, last_s: float, settle_s: float = 0.0) -> Any:
    return replace(FAST, hours=Hours(last_s=last_s, settle_s=settle_s))


TOO_FEW = hours(last_s=40.0, settle_s=25.0)  # 15 s of work are left of 40


def at_step(run: Running, step: int) -> None:
    wait_for(lambda: (run.status().step or 0) >= step, what=lambda: run.log)


def saved(bucket: RunBucket) -> list[int]:
    names = [key for key in bucket.list("checkpoints/base/") if "complete_" in key]
    return [int(name[-11:-5]) for name in names]


def test_a_run_that_will_not_end_in_time_is_stopped_after_its_next_save(
    launch: Launch, bucket: RunBucket, box: Mailbox
):
    run = launch(
        slow_base(),
        timing=TOO_FEW,
        RENTAL_NAME=RENTAL,
        NOTIFY_URL=f"{box.url}/planted-hook",
    )
    at_step(run, 12)
    bought(bucket, 40)
    verdict = run.verdict(timeout_s=30)
    assert (verdict.outcome, verdict.stage) == ("stopped", "base")
    step = saved(bucket)[-1]
    assert verdict.reason == f"hours over, after the save of step {step}"
    assert f"model_{step:06d}.pt" in str(run.manifest().artifacts)
    box.wait_for(lambda: len(box.came) == 2)
    notices = [json.loads(body) for _, body, _ in box.came]
    assert [one["event"] for one in notices] == ["will not end in time", "verdict"]
    assert "the run will NOT end in time" in notices[0]["text"]


def test_a_run_that_ends_in_time_is_let_to_its_end(launch: Launch, bucket: RunBucket):
    bought(bucket, 600)
    run = launch(
        slow_base("--steps=60", "--save-every=20", "--step-s=0.05"),
        timing=hours(last_s=600.0, settle_s=120.0),
        RENTAL_NAME=RENTAL,
    )
    wait_for(lambda: run.status().in_time == "yes", what=lambda: run.log)
    assert run.verdict().outcome == "succeeded"


def test_what_is_not_known_stops_nothing_before_the_last_moment(launch: Launch, bucket: RunBucket):
    bought(bucket, 500)
    sleeping = file_stage("eval", local="e", key="e", text="import time; time.sleep(60)")
    run = launch(
        fake_recipe(sleeping), timing=hours(last_s=600.0, settle_s=1.0), RENTAL_NAME=RENTAL
    )
    wait_for(lambda: run.status().in_time == "unknown", what=lambda: run.log)
    bought(bucket, 0)
    assert run.verdict().reason == "hours over"


@pytest.mark.parametrize(
    ("seconds", "rental", "raw"),
    [
        (1.0, "another", b""),  # an earlier machine's, left behind
        (1.0, "", b""),
        (7200.0, RENTAL, b""),  # the end is not near
        (0.0, RENTAL, b"{"),
        (0.0, RENTAL, b'{"schema": 1, "rental": "x", "hours": 1, "ends_at": "soon"}'),
    ],
    ids=["another rental", "no rental", "far away", "no JSON", "no time"],
)
def test_an_end_that_is_not_this_machines_or_not_near_says_and_stops_nothing(
    launch: Launch, bucket: RunBucket, seconds: float, rental: str, raw: bytes
):
    bought(bucket, seconds, rental=rental)
    if raw:
        bucket.put(BOUGHT_KEY, raw)
    run = launch(
        slow_base("--steps=60", "--save-every=20", "--step-s=0.02"),
        timing=hours(last_s=600.0, settle_s=120.0),
        RENTAL_NAME=RENTAL,
    )
    at_step(run, 30)
    assert run.status().in_time == ""
    assert run.verdict().outcome == "succeeded"


def test_a_container_that_was_told_no_rental_believes_no_end(launch: Launch, bucket: RunBucket):
    """An image of today on a machine of before, or one that somebody started by hand."""
    bought(bucket, 1.0, rental="")
    run = launch(timing=hours(last_s=600.0))
    assert run.verdict().outcome == "succeeded"


def test_more_hours_that_are_bought_while_the_save_is_awaited_let_the_run_go_on(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    gate = tmp_path / "gate"
    run = launch(
        slow_base(*SAVES, "--wait-at=15", f"--gate={gate}"), timing=TOO_FEW, RENTAL_NAME=RENTAL
    )
    at_step(run, 12)
    bought(bucket, 40)
    wait_for(lambda: run.status().stopping, what=lambda: run.log)
    bought(bucket, 7200)
    wait_for(lambda: not run.status().stopping, what=lambda: run.log)
    gate.touch()
    at_step(run, 45)
    assert run.status().in_time == ""
    assert bucket.get(VERDICT_KEY) is None


def test_more_hours_that_are_bought_after_the_stop_are_trained_on_the_same_machine(
    launch: Launch, bucket: RunBucket
):
    """The container stays when its hours end; extended, it would bill and do nothing."""
    bought(bucket, 3)
    timing = hours(last_s=3.0, settle_s=1.0)
    first = launch(slow_base(), timing=timing, RENTAL_NAME=RENTAL)
    assert first.verdict().outcome == "stopped"
    first.thread.join(0.5)
    assert first.thread.is_alive(), "its page still answers"
    bought(bucket, 7200)
    first.thread.join(20)
    assert first.codes == [AGAIN]
    steps = slow_base("--steps=44", "--save-every=20")
    again = launch(steps, timing=timing, RENTAL_NAME=RENTAL)
    verdict = wait_for(
        lambda: again.status().outcome == "succeeded" and again.verdict(), what=lambda: again.log
    )
    assert verdict.attempt == 2


def test_a_container_that_is_started_again_when_its_hours_are_over_trains_no_more(
    launch: Launch, bucket: RunBucket
):
    """Each start that gets no further counts, and the third ends the run as failed."""
    bought(bucket, 3)
    timing = hours(last_s=600.0, settle_s=1.0)
    recipe = slow_base("--steps=4000", "--save-every=2000", "--step-s=0.05")
    first = launch(recipe, timing=timing, RENTAL_NAME=RENTAL)
    assert first.verdict().outcome == "stopped"
    assert first.end() == 0
    again = launch(recipe, timing=timing, RENTAL_NAME=RENTAL)
    wait_for(lambda: again.status().outcome == "stopped", what=lambda: again.log)
    assert again.status().attempt == 1
    assert bucket.get(VERDICT_KEY) is not None


def test_another_machine_goes_on_though_the_end_of_the_first_was_left_behind(
    launch: Launch, bucket: RunBucket
):
    first = launch(slow_base(), timing=TOO_FEW, RENTAL_NAME=RENTAL)
    at_step(first, 22)
    bought(bucket, 40)
    first.verdict()
    first.end()
    step = saved(bucket)[-1]
    second = launch(
        slow_base(f"--steps={step + 4}", "--save-every=20"),
        holder="two",
        work="other",
        timing=TOO_FEW,
        RENTAL_NAME=f"{RENTAL}-2",
    )
    wait_for(lambda: second.status().outcome == "succeeded", what=lambda: second.log)
    assert f"goes on from step {step}" in second.log
