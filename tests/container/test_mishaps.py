"""What goes wrong on a paid machine, and how the run goes on or ends; in this process."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from container.contract.keys import mended_key
from container.contract.recipe import load_recipe
from container.contract.records import Attempt, Verdict
from container.storage.bucket import RunBucket
from tests.container.conftest import Launch, wait_for
from tests.container.recipes import fake_recipe, file_stage, script, trainer_stage
from tests.container.s3_server import S3Server


def test_a_stage_that_fails_stops_the_run_with_reason_code_and_its_last_lines(launch: Launch):
    bad = file_stage("tokenizer", local="tokenizer", key="tokenizer")
    bad = replace(bad, argv=script("import sys; print('line one'); sys.exit('no such word')"))
    run = launch(fake_recipe(bad, trainer_stage()))
    verdict = run.verdict()
    assert (verdict.outcome, verdict.stage, verdict.exit_code) == ("failed", "tokenizer", 1)
    assert verdict.reason == "exit code 1 (2 times)"
    assert verdict.log_tail == ["line one", "no such word"]
    assert {one.name: one.state for one in run.status().stages}["base"] == "waiting"
    assert run.manifest().artifacts


def test_a_stage_that_leaves_nothing_behind_has_failed_whatever_its_exit_code(launch: Launch):
    lazy = replace(
        file_stage("tokenizer", local="tokenizer", key="tokenizer"), argv=script("pass"), retries=0
    )
    verdict = launch(fake_recipe(lazy)).verdict()
    assert verdict.outcome == "failed"
    assert verdict.reason == "exit code 0, but it left no tokenizer/*"


def test_a_program_that_is_not_there_is_said_so(launch: Launch):
    missing = replace(trainer_stage(), argv=("/no/such/program",), retries=0)
    verdict = launch(fake_recipe(missing)).verdict()
    assert (verdict.exit_code, verdict.reason) == (
        127,
        "cannot start /no/such/program: No such file or directory",
    )


def test_an_optional_stage_may_fail_and_the_verdict_says_so(launch: Launch):
    shaky = replace(file_stage("eval", local="eval", key="eval"), argv=script("exit(3)"))
    shaky = replace(shaky, optional=True, retries=0)
    verdict = launch(fake_recipe(shaky, trainer_stage())).verdict()
    assert verdict.outcome == "succeeded"
    assert "without: eval: exit code 3" in verdict.reason


def test_training_that_fails_once_goes_on_from_its_checkpoint(launch: Launch, bucket: RunBucket):
    flags = ("--exit-once-at=4", "--leave-truncated")
    run = launch(fake_recipe(trainer_stage(flags=flags)))
    assert run.verdict().outcome == "succeeded"
    assert "goes on from step 4" in run.log or "goes on from step 2" in run.log
    assert run.log.count("step 00000/") == 1


def test_a_truncated_checkpoint_on_disk_is_cleared_away_before_the_retry(launch: Launch):
    flags = ("--exit-once-at=3", "--leave-truncated")
    run = launch(fake_recipe(trainer_stage(flags=flags)))
    assert run.verdict().outcome == "succeeded"
    assert "removed incomplete checkpoint files of step 3" in run.log
    assert "goes on from step 2" in run.log


def test_out_of_memory_twice_halves_the_batch_twice_and_is_remembered(
    launch: Launch, bucket: RunBucket
):
    run = launch(fake_recipe(trainer_stage(flags=("--oom-above=2",))))
    assert run.verdict().outcome == "succeeded"
    assert "device batch size is now 4" in run.log
    assert "device batch size is now 2" in run.log
    assert json.loads(bucket.get("stages/base.json") or b"")["device_batch_size"] == 2


def test_out_of_memory_with_the_smallest_batch_ends_the_run(launch: Launch):
    argv = (*script("exit('torch.OutOfMemoryError: CUDA out of memory.')"), "{device_batch_size}")
    stage = replace(trainer_stage(), argv=argv)
    verdict = launch(fake_recipe(stage), DEVICE_BATCH_SIZE="2").verdict()
    assert verdict.outcome == "failed"
    assert "even with device batch size 1" in verdict.reason


def test_out_of_memory_in_a_stage_that_takes_no_batch_size_is_a_failure_like_any_other(
    launch: Launch,
):
    argv = script("exit('torch.OutOfMemoryError: CUDA out of memory.')")
    run = launch(fake_recipe(replace(trainer_stage(), argv=argv)), DEVICE_BATCH_SIZE="8")
    assert run.verdict().reason.startswith("out of memory (2 times): ")
    assert "device batch size is now" not in run.log


def test_a_stall_dumps_the_stacks_and_goes_on_from_the_checkpoint(launch: Launch):
    stage = trainer_stage(flags=("--hang-at=5",), step_limit_s=3.0)
    run = launch(fake_recipe(stage))
    assert run.verdict().outcome == "succeeded"
    assert "no step after 4 for 3 s" in run.log
    assert "fake_trainer.py" in run.log
    assert "most recent call first" in run.log
    assert "goes on from step 4" in run.log


def test_a_second_stall_ends_the_run(launch: Launch):
    stage = replace(trainer_stage(), argv=script("import time; time.sleep(600)"))
    stage = replace(stage, first_step_limit_s=1.0)
    verdict = launch(fake_recipe(stage)).verdict()
    assert verdict.outcome == "failed"
    assert verdict.reason == "stalled 2 times: no first step within 1 s"


def test_a_loss_that_is_no_number_ends_the_run_before_it_costs_more(launch: Launch):
    line = "step %05d/09999 (0.1%%) | loss: nan | lrm: 1.00 | dt: 1.00ms | tok/sec: 1 | mfu: 1.0"
    code = f"import time\nfor n in range(9999): print({line!r} % n); time.sleep(0.005)"
    stage = replace(trainer_stage(), argv=script(code))
    verdict = launch(fake_recipe(stage)).verdict()
    assert verdict.outcome == "failed"
    assert "the loss is not a number" in verdict.reason


def test_a_stage_over_its_time_limit_is_ended(launch: Launch):
    stage = file_stage("data", local="data", key="", text="import time; time.sleep(600)")
    verdict = launch(fake_recipe(replace(stage, time_limit_s=1))).verdict()
    assert verdict.reason == "time limit: not done within 1 s"


@pytest.mark.parametrize("stage", ["data", "tokenizer", "base", "sft", "report"])
def test_sigterm_in_any_stage_ends_as_stopped_within_the_grace_period(
    launch: Launch, bucket: RunBucket, tmp_path: Path, stage: str
):
    gate = tmp_path / "gate"
    usual = fake_recipe().stages
    hold = (
        f"import time, os\nprint('held')\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    )
    held = tuple(
        trainer_stage(stage, flags=("--wait-at=3", f"--gate={gate}"))
        if one.name == stage and stage in ("base", "sft")
        else replace(one, argv=script(hold))
        if one.name == stage
        else one
        for one in usual
    )
    run = launch(fake_recipe(*held))
    wanted = "step 00002" if stage in ("base", "sft") else "held"
    wait_for(lambda: run.status().stage == stage and wanted in run.log, what=run.log)
    begin = time.monotonic()
    assert run.end() == 0
    assert time.monotonic() - begin < 10
    verdict = Verdict.from_json(bucket.get("verdict.json") or b"")
    assert (verdict.outcome, verdict.stage) == ("stopped", stage)
    if stage == "base":
        assert bucket.get("checkpoints/base/d2/complete_000002.json"), run.log


def test_a_damaged_checkpoint_in_the_bucket_is_ignored_and_said(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    gate = tmp_path / "gate"
    recipe = fake_recipe(trainer_stage(flags=("--wait-at=5", f"--gate={gate}")))
    first = launch(recipe)
    wait_for(lambda: bucket.get("checkpoints/base/d2/complete_000004.json"), what=first.log)
    first.supervisor._kill.set()  # as a lost lease: it ends without a verdict
    first.thread.join(20)
    bucket.delete("lease.json")
    size = len(bucket.get("checkpoints/base/d2/model_000004.pt") or b"")
    bucket.put("checkpoints/base/d2/model_000004.pt", b"x" * size)
    gate.touch()
    second = launch(recipe, work="fresh", holder="two")
    assert second.verdict().outcome == "succeeded"
    assert "model_000004.pt in the bucket has another content" in second.log
    assert "goes on from step 2" in second.log
    assert Attempt.from_json(bucket.get("attempts/2.json") or b"").resumed_from.endswith("04.json")


def test_what_was_only_fetched_is_fetched_again_on_another_machine(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    """The shards of another disk: training on the few that were there would repeat them."""
    gate = tmp_path / "gate"
    fetched = file_stage("shards", local="data", key="", outputs=(), needed_by="base")
    recipe = fake_recipe(fetched, trainer_stage(flags=("--wait-at=3", f"--gate={gate}")))
    first = launch(recipe)
    wait_for(lambda: bucket.get("checkpoints/base/d2/complete_000002.json"), what=first.log)
    assert bucket.get("stages/shards.json")
    first.supervisor._kill.set()  # as a lost lease: it ends without a verdict
    first.thread.join(20)
    bucket.delete("lease.json")
    gate.touch()
    second = launch(recipe, work="fresh", holder="two")
    assert second.verdict().outcome == "succeeded"
    assert (tmp_path / "fresh" / "data" / "made.txt").exists()


def test_of_two_containers_on_one_prefix_exactly_one_trains(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    gate = tmp_path / "gate"
    recipe = fake_recipe(trainer_stage(flags=("--wait-at=3", f"--gate={gate}")))
    first = launch(recipe, holder="one")
    wait_for(lambda: "step 00002" in first.log)
    second = launch(recipe, holder="two", work="two")
    wait_for(lambda: "another container (one) holds this run" in second.log)
    gate.touch()
    assert first.verdict().outcome == "succeeded"
    wait_for(lambda: second.supervisor.live_status.outcome, what=second.log)
    assert "stage started" not in second.log
    assert sorted(bucket.list("attempts/")) == ["attempts/1.json"]


def test_a_container_takes_over_from_one_that_fell_silent(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    gate = tmp_path / "gate"
    recipe = fake_recipe(trainer_stage(flags=("--wait-at=3", f"--gate={gate}")))
    first = launch(recipe, holder="one", STOP_GRACE_S="3")
    wait_for(lambda: bucket.get("checkpoints/base/d2/complete_000002.json"), what=first.log)
    first.supervisor._lease._stopping.set()  # it lives, but its beats do not arrive
    second = launch(recipe, holder="two", work="two")
    wait_for(lambda: "taking over" in second.log, what=second.log)
    gate.touch()
    assert second.verdict().outcome == "succeeded"
    assert second.verdict().attempt == 2
    assert "goes on from step 2" in second.log


def test_a_container_that_learns_of_its_successor_ends_without_a_verdict(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    recipe = fake_recipe(trainer_stage(flags=("--wait-at=3", f"--gate={tmp_path / 'never'}")))
    run = launch(recipe)
    wait_for(lambda: "step 00002" in run.log)
    bucket.put("lease.json", b'{"schema":1,"holder":"two","attempt":9,"beat_at":""}')
    run.thread.join(20)
    assert run.codes == [75], run.log
    assert bucket.get("verdict.json") is None


def test_three_attempts_that_get_no_further_end_the_run(launch: Launch, bucket: RunBucket):
    for number in (1, 2, 3):
        attempt = Attempt(number=number, started_at="", host="h", reason="", point="tokenizer@0")
        bucket.put(f"attempts/{number}.json", attempt.to_json())
    verdict = launch().verdict()
    assert (verdict.outcome, verdict.attempt) == ("failed", 4)
    assert "3 attempts in a row ended without getting beyond tokenizer@0" in verdict.reason


def test_attempts_before_a_failure_that_was_mended_do_not_count_against_the_next(
    launch: Launch, bucket: RunBucket
):
    """A smaller batch on the same machine: the operator set the verdict `failed` aside."""
    for number in (1, 2, 3):
        attempt = Attempt(number=number, started_at="", host="h", reason="", point="tokenizer@0")
        bucket.put(f"attempts/{number}.json", attempt.to_json())
    bucket.put(mended_key(3), b"{}")
    verdict = launch().verdict()
    assert (verdict.outcome, verdict.attempt) == ("succeeded", 4)


def test_another_runs_settings_on_the_prefix_are_refused_without_a_verdict(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    recipe = fake_recipe(trainer_stage(flags=("--wait-at=3", f"--gate={tmp_path / 'never'}")))
    first = launch(recipe)
    wait_for(lambda: "step 00002" in first.log)
    first.supervisor._kill.set()
    first.thread.join(20)
    bucket.delete("lease.json")
    second = launch(recipe, settings={"steps": 9}, work="two")
    wait_for(lambda: "refused" in second.log, what=second.log)
    assert "setting steps was 6, is 9" in second.log
    assert bucket.get("verdict.json") is None


def test_bad_recipe_settings_are_a_verdict_that_names_all_of_them(launch: Launch):
    verdict = launch(settings={"steps": "many", "depht": 3}).verdict()
    assert verdict.outcome == "failed"
    assert "steps: 'many' must be a whole number" in verdict.reason
    assert "depht: unknown setting" in verdict.reason


def test_an_image_with_a_commit_that_the_recipe_is_not_for_ends_before_anything_is_fetched(
    launch: Launch,
):
    """Its flags would have failed hours later, or its shards have arrived in another folder."""
    verdict = launch(load_recipe("nanochat-speedrun"), NANOCHAT_COMMIT="dc54a1a").verdict()
    assert (verdict.outcome, verdict.stage) == ("failed", "verify")
    assert verdict.reason.startswith("the image's nanochat, dc54a1a: is nanochat without midtra")
    assert "nanochat-speedrun works with b62a5bc" in verdict.reason


def test_training_goes_on_while_the_bucket_is_away_and_all_arrives_in_the_end(
    launch: Launch, bucket: RunBucket, s3: S3Server, tmp_path: Path
):
    gate = tmp_path / "gate"
    recipe = fake_recipe(trainer_stage(flags=("--wait-at=3", f"--gate={gate}")))
    run = launch(recipe)
    wait_for(lambda: bucket.get("checkpoints/base/d2/complete_000002.json"))
    s3.stop()
    try:
        gate.touch()
        wait_for(lambda: run.status().stage == "flush", what=run.log)
        assert run.supervisor.live_status.outcome is None
    finally:
        s3.start()
    assert run.verdict().outcome == "succeeded"
    assert bucket.get("checkpoints/base/d2/complete_000006.json")


def test_the_disk_holds_no_more_than_what_is_not_yet_superseded(launch: Launch, tmp_path: Path):
    gate = tmp_path / "gate"
    flags = ("--save-every=1", "--wait-at=5", f"--gate={gate}")
    run = launch(fake_recipe(trainer_stage(flags=flags)))
    folder = tmp_path / "work" / "base_checkpoints" / "d2"
    wait_for(lambda: [p.name for p in sorted(folder.glob("model_*"))] == ["model_000005.pt"])
    gate.touch()
    run.verdict()
    assert [p.name for p in sorted(folder.glob("model_*"))] == ["model_000006.pt"]


def test_a_stage_in_the_background_is_waited_for_where_it_is_needed(launch: Launch, tmp_path: Path):
    gate = tmp_path / "gate"
    slow = file_stage(
        "data",
        local="data",
        key="",
        text="import time, os, pathlib\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)\n"
        "os.makedirs('data'); pathlib.Path('data/x').touch()",
    )
    tokenizer = file_stage("tokenizer", local="tokenizer", key="tokenizer")
    run = launch(fake_recipe(replace(slow, needed_by="base"), tokenizer, trainer_stage()))
    wait_for(lambda: "tokenizer wrote" in run.log)
    assert "step 0000" not in run.log
    gate.touch()
    assert run.verdict().outcome == "succeeded"


def test_storage_credentials_reach_no_stage_and_the_wandb_key_only_who_asks(launch: Launch):
    text = "import os; print('sees', sorted(k for k in os.environ if 'KEY' in k or 'TOKEN' in k))"
    text += "; os.makedirs('x', exist_ok=True); open('x/y', 'w')"
    stages = [
        file_stage(name, local="x", key="", text=text) for name in ("plain", "wandb", "model-code")
    ]
    stages[1] = replace(stages[1], needs_credentials=True)
    stages[2] = replace(stages[2], runs_model_code=True)
    run = launch(fake_recipe(*stages), WANDB_API_KEY="wandb-planted-key")
    run.verdict()
    seen = [line for line in run.log.splitlines() if line.startswith("sees")]
    assert seen == ["sees []", "sees ['WANDB_API_KEY']", "sees []"]


def test_a_secret_that_a_stage_prints_is_masked(launch: Launch):
    stage = file_stage("data", local="x", key="", text="print('chat-token-planted-77aa'); exit(1)")
    run = launch(fake_recipe(replace(stage, retries=0)))
    assert run.verdict().log_tail == ["***"]
    assert "planted" not in run.log
