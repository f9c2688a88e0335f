"""What else goes wrong around a real container: its store, its disk, its data, its neighbours."""

from __future__ import annotations

import json
import re
import shlex
import time

import pytest

from components.ionet.deployment import ENTRYPOINT
from container.contract.records import Verdict
from tests.campaign import judge
from tests.campaign.judge import TAG
from tests.campaign.moments import freeze
from tests.campaign.pool import Campaign, Case, Play, Undisturbed
from tests.campaign.rented import Run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]
MIB = 2**20
BASE = f"checkpoints/base/{TAG}"
OUTAGE_S = 60.0
DISK_BYTES = 600 * MIB  # more than the recipe asks for

# Runs at the start of each Python process of a stage, before its program.
PLANT = 'printf %s "$PLANTED" >> /app/container/stages/hooks/sitecustomize.py'
WITH_PLANTED = ("/bin/bash", "-c", f"{PLANT} && {shlex.join(ENTRYPOINT)}")
OUT_OF_MEMORY = """
import os, sys
batch = [one for one in sys.orig_argv if one.startswith("--device-batch-size=")]
if "container.toy_trainer.base_train" in sys.orig_argv and int(batch[0].split("=")[1]) > 4:
    print("torch.OutOfMemoryError: CUDA out of memory.", flush=True)
    os._exit(1)
"""


def store_is_slow(run: Run, undisturbed: Undisturbed) -> str:
    """1 MiB/s both ways: training goes on ahead of its uploads, and all arrives in the end."""
    run.store.faults.bytes_per_s = MIB
    one = run.rent()
    one.says("trainstack | sft | ")
    assert f"{BASE}/complete_000060.json" not in run.bucket.list()
    _succeeds_undisturbed(run, undisturbed)
    return f"base in {_stage_s(one.log, 'base')} s, sft in {_stage_s(one.log, 'sft')} s"


def store_refuses_half_of_all_requests(run: Run, undisturbed: Undisturbed) -> str:
    run.store.faults.refused_share = 0.5
    run.rent()
    _succeeds_undisturbed(run, undisturbed)
    return "succeeded"


def store_refuses_half_and_the_machine_is_lost(run: Run, undisturbed: Undisturbed) -> str:
    """The next start reads all that the first left, half of the answers being refusals."""
    run.store.faults.refused_share = 0.5
    first = run.rent()
    run.there(f"{BASE}/complete_000040.json")
    first.kill()
    run.next_container()
    _succeeds_undisturbed(run, undisturbed)
    return "succeeded"


def store_is_away_while_it_trains(run: Run, undisturbed: Undisturbed) -> str:
    """In a campaign for a minute, which is longer than a lease lasts."""
    one = run.rent()
    one.says("step 00005/")
    run.store.stop()
    begin = time.monotonic()
    one.says("step 00045/")  # two checkpoint intervals
    if run.patient:
        run.until(lambda: time.monotonic() - begin > OUTAGE_S, what="a long outage")
    away_s = time.monotonic() - begin
    run.store.start()
    verdict = _succeeds_undisturbed(run, undisturbed)
    assert verdict.attempt == 1, "an outage is no reason to start again"
    return f"away for {away_s:.0f} s"


def disk_is_too_small(run: Run, _: Undisturbed) -> str:
    """Another machine may have a larger one: it is no verdict."""
    one = run.start_by_hand(disk_bytes=100 * MIB)
    reason = "disk (0.1 GiB free, rehearsal needs 0.5 GiB)"
    one.says(f"ended without a verdict: the machine is not what was ordered: {reason}")
    assert not run.is_over()
    return reason


def disk_fills_up_while_it_trains(run: Run, undisturbed: Undisturbed) -> str:
    """The verdict says why, what was complete is kept, and a larger disk can go on from it."""
    first = run.start_by_hand(disk_bytes=DISK_BYTES)
    run.there(f"{BASE}/complete_000020.json")
    first.container.exec_run(["sh", "-c", "cat /dev/zero > /workspace/filler"])
    verdict = run.verdict()
    assert (verdict.outcome, verdict.stage) == ("failed", "base"), verdict
    assert "No space left on device" in verdict.reason, verdict.reason
    assert f"{BASE}/optim_000020_rank0.pt" in judge.weights(run)
    judge.every_hash_is_right(run)
    run.end_by_hand()
    again = run.start_by_hand(disk_bytes=DISK_BYTES)
    again.says("this run has a verdict: failed")
    run.end_by_hand()
    run.bucket.delete("verdict.json")
    run.start_by_hand(disk_bytes=DISK_BYTES).says("goes on from step 20")
    _succeeds_undisturbed(run, undisturbed)
    return verdict.reason


def data_cannot_be_had(run: Run, _: Undisturbed) -> str:
    """A stage that exits with 1 ends the run, with its last lines."""
    run.mirror.faults.refused_share = 1.0
    run.rent()
    verdict = run.verdict()
    assert (verdict.outcome, verdict.stage, verdict.exit_code) == ("failed", "data", 1)
    assert "HTTP Error 503" in "\n".join(verdict.log_tail)
    run.give_back()
    return verdict.reason


def memory_runs_out_twice(run: Run, _: Undisturbed) -> str:
    """The trainer says so with batches above 4: they are halved from 16 to 8 to 4."""
    run.rent(env={"PLANTED": OUT_OF_MEMORY}, entrypoint=WITH_PLANTED)
    verdict = judge.ended_well(run)
    record = json.loads(run.bucket.get("stages/base.json") or b"")
    assert record["device_batch_size"] == 4
    assert judge.weights(run).keys() >= judge.NEEDED
    return f"batch {record['device_batch_size']}, attempt {verdict.attempt}"


def training_stalls(run: Run, undisturbed: Undisturbed) -> str:
    """The trainer is frozen in the middle; its stage goes on from the newest checkpoint."""
    one = run.rent()
    one.says("step 00025/")
    freeze(one, "toy_trainer.base_train")
    one.says("starts again: stalled: no step after")
    _succeeds_undisturbed(run, undisturbed)
    return "went on from " + one.log.partition("goes on from ")[2].partition("\n")[0]


def checkpoint_is_truncated_in_the_bucket(run: Run, undisturbed: Undisturbed) -> str:
    first = run.rent()
    run.there(f"{BASE}/complete_000040.json")
    first.kill()
    whole = run.bucket.get(f"{BASE}/model_000040.pt") or b""
    run.bucket.put(f"{BASE}/model_000040.pt", whole[: len(whole) // 2])
    second = run.next_container()
    second.says("complete_000040.json ignored")
    second.says("goes on from step 20")
    _succeeds_undisturbed(run, undisturbed)
    return "went on from step 20"


def second_container_on_the_prefix(run: Run, undisturbed: Undisturbed) -> str:
    first = run.rent()
    first.says("step 00005/")
    second = run.rent()
    second.says("holds this run; waiting for it")
    _succeeds_undisturbed(run, undisturbed, give_back=False)
    second.says("this run has a verdict: succeeded")
    assert "stage started" not in second.log
    assert len(judge.attempts(run)) == 1
    run.give_back()
    return "one trained, one waited"


def machine_is_lost_while_it_waits_for_the_lease(run: Run, undisturbed: Undisturbed) -> str:
    first = run.rent()
    run.there(f"{BASE}/complete_000020.json")
    first.kill()
    second = run.next_container()
    second.says("holds this run; waiting for it")
    second.kill()
    run.next_container().says("goes on from step")
    verdict = _succeeds_undisturbed(run, undisturbed)
    assert verdict.attempt == 2
    return "attempt 2 was the third container"


def _succeeds_undisturbed(run: Run, undisturbed: Undisturbed, *, give_back: bool = True) -> Verdict:
    verdict = judge.ended_well(run) if give_back else judge.ended_whole(run)
    judge.same_weights(judge.weights(run), undisturbed())
    return verdict


def _stage_s(log: str, stage: str) -> int:
    found = re.search(rf"trainstack \| {stage} \| .* stage done in (\d+) s", log)
    assert found, log
    return int(found[1])


def _cases(*plays: Play, quick: bool = False) -> list[Case]:
    return [Case(play.__name__.replace("_", "-"), play, quick=quick) for play in plays]


CASES = _cases(
    store_is_slow,
    store_refuses_half_of_all_requests,
    store_refuses_half_and_the_machine_is_lost,
    store_is_away_while_it_trains,
    disk_fills_up_while_it_trains,
    memory_runs_out_twice,
    training_stalls,
    checkpoint_is_truncated_in_the_bucket,
    second_container_on_the_prefix,
    machine_is_lost_while_it_waits_for_the_lease,
) + _cases(disk_is_too_small, data_cannot_be_had, quick=True)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_whatever_goes_wrong_the_run_ends_as_it_should(campaign: Campaign, case: Case) -> None:
    campaign.result(case)
