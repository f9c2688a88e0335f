"""A run that its operator tells to stop: after its next save if that is due, else at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from container.contract.keys import STOP_KEY, VERDICT_KEY
from container.contract.records import Verdict
from container.contract.stop_order import StopOrder
from container.storage.bucket import RunBucket
from container.supervisor.supervisor import AGAIN
from tests.container.conftest import Launch, Running, wait_for
from tests.container.recipes import fake_recipe, file_stage, trainer_stage

SAVES = ("--steps=400", "--save-every=20", "--step-s=0.05")


def slow_base(*flags: str, saves_every: str = "20") -> Any:
    stage = trainer_stage(flags=flags or SAVES, saves_every=saves_every)
    return fake_recipe(file_stage("tokenizer", local="tokenizer", key="tokenizer"), stage)


def told(bucket: RunBucket, *, within_s: float, holder: str = "one") -> None:
    bucket.put(STOP_KEY, StopOrder(holder=holder, within_s=within_s, asked_at="").to_json())


def at_step(run: Running, step: int) -> None:
    wait_for(lambda: (run.status().step or 0) >= step, what=lambda: run.log)


def saved(bucket: RunBucket) -> list[int]:
    names = [key for key in bucket.list("checkpoints/base/") if "complete_" in key]
    return [int(name[-11:-5]) for name in names]


def test_the_next_save_is_waited_for_and_is_in_the_bucket_before_the_verdict(
    launch: Launch, bucket: RunBucket
):
    """SIGTERM at step 38 of a trainer that saves each 20 cost 18 steps that were paid for."""
    run = launch(slow_base())
    at_step(run, 23)
    told(bucket, within_s=60)
    stopping = wait_for(lambda: run.status().stopping or run.status().outcome, what=run.log)
    assert stopping == "the save of step 40"
    verdict = run.verdict()
    assert (verdict.outcome, verdict.stage) == ("stopped", "base")
    assert "the operator's order, after the save of step 40" in verdict.reason
    assert saved(bucket) == [20, 40]
    assert {a.key for a in run.manifest().artifacts} >= {
        f"checkpoints/base/d2/{name}_000040.{end}"
        for name, end in (("model", "pt"), ("meta", "json"))
    }
    assert (run.status().checkpoint_files, run.status().checkpoint_files_up) == (3, 3)


@pytest.mark.parametrize(
    ("within_s", "saves_every"), [(0.0, "20"), (2.0, "200"), (2.0, "")], ids=str
)
def test_a_save_that_is_not_due_within_the_bound_is_not_waited_for(
    launch: Launch, bucket: RunBucket, within_s: float, saves_every: str
):
    run = launch(
        slow_base("--steps=4000", "--save-every=20", "--step-s=0.05", saves_every=saves_every)
    )
    at_step(run, 23)
    told(bucket, within_s=within_s)
    assert run.verdict(timeout_s=20).outcome == "stopped"
    assert saved(bucket) == [20]


def test_a_save_that_does_not_come_in_time_is_given_up(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    gate = tmp_path / "gate"
    run = launch(slow_base(*SAVES, "--wait-at=30", f"--gate={gate}"))
    at_step(run, 25)
    told(bucket, within_s=3)
    assert "did not come in time" in run.verdict(timeout_s=20).reason
    assert saved(bucket) == [20]


def test_a_stage_that_saves_nothing_is_ended_at_once(launch: Launch, bucket: RunBucket):
    sleeping = file_stage("tokenizer", local="t", key="t", text="import time; time.sleep(60)")
    run = launch(fake_recipe(sleeping))
    wait_for(lambda: run.status().stage == "tokenizer")
    told(bucket, within_s=600)
    verdict = run.verdict(timeout_s=20)
    assert (verdict.outcome, verdict.stage) == ("stopped", "tokenizer")


def test_the_container_stays_and_one_that_is_started_again_does_not_go_on(
    launch: Launch, bucket: RunBucket
):
    """The vendor starts a container again that it ended itself: it must not train on."""
    first = launch(slow_base())
    at_step(first, 3)
    told(bucket, within_s=0)
    assert first.verdict().outcome == "stopped"
    first.thread.join(0.5)
    assert first.thread.is_alive(), "its page still answers"
    assert first.end() == 0
    again = launch(slow_base())
    wait_for(lambda: again.status().outcome == "stopped", what=lambda: again.log)
    assert "tokenizer" not in again.log
    assert Verdict.from_json(bucket.get(VERDICT_KEY) or b"").attempt == 1


def test_a_later_machine_goes_on_though_the_order_was_left_behind(
    launch: Launch, bucket: RunBucket
):
    first = launch(slow_base())
    at_step(first, 23)
    told(bucket, within_s=0)
    first.verdict()
    first.end()
    second = launch(slow_base("--steps=44", "--save-every=20"), holder="two", work="other")
    verdict = wait_for(
        lambda: second.status().outcome == "succeeded" and second.verdict(), what=lambda: second.log
    )
    assert verdict.attempt == 2
    assert "goes on from step 20" in second.log


def test_an_order_that_is_taken_back_while_it_waits_stops_nothing(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    gate = tmp_path / "gate"
    run = launch(
        slow_base(
            "--steps=44", "--save-every=20", "--step-s=0.05", "--wait-at=30", f"--gate={gate}"
        )
    )
    at_step(run, 25)
    told(bucket, within_s=60)
    wait_for(lambda: run.status().stopping, what=lambda: run.log)
    bucket.delete(STOP_KEY)
    wait_for(lambda: not run.status().stopping, what=lambda: run.log)
    gate.touch()
    assert run.verdict().outcome == "succeeded"


def test_sigterm_while_a_save_is_waited_for_ends_the_process_within_its_grace(
    launch: Launch, bucket: RunBucket
):
    run = launch(
        slow_base("--steps=4000", "--save-every=2000", "--step-s=0.05", saves_every="2000")
    )
    at_step(run, 5)
    told(bucket, within_s=6000)
    wait_for(lambda: run.status().stopping, what=lambda: run.log)
    began = time.monotonic()
    assert run.end() == 0
    assert time.monotonic() - began < 8
    assert Verdict.from_json(bucket.get(VERDICT_KEY) or b"").outcome == "stopped"


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"schema": 99}', b'{"schema": 1, "holder": 3}'])
def test_an_order_that_cannot_be_read_stops_nothing(launch: Launch, bucket: RunBucket, raw: bytes):
    bucket.put(STOP_KEY, raw)
    run = launch()
    assert run.verdict().outcome == "succeeded"


def test_a_run_that_has_stopped_goes_on_when_its_order_is_taken_back(
    launch: Launch, bucket: RunBucket
):
    """Its machine was not given back, nor started again: it would bill and do nothing."""
    first = launch(slow_base())
    at_step(first, 23)
    told(bucket, within_s=0)
    first.verdict()
    first.thread.join(0.5)
    assert first.thread.is_alive()
    bucket.delete(STOP_KEY)
    first.thread.join(20)
    assert first.codes == [AGAIN]
    again = launch(slow_base("--steps=44", "--save-every=20"))
    verdict = wait_for(
        lambda: again.status().outcome == "succeeded" and again.verdict(), what=lambda: again.log
    )
    assert verdict.attempt == 2


def test_a_stopped_run_that_is_deleted_does_not_begin_anew(launch: Launch, bucket: RunBucket):
    run = launch(slow_base())
    at_step(run, 3)
    told(bucket, within_s=0)
    run.verdict()
    bucket.delete(VERDICT_KEY)
    bucket.delete(STOP_KEY)
    run.thread.join(2)
    assert run.thread.is_alive()
    assert run.end() == 0
