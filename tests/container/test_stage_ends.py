"""How a stage's processes end, and what the end is taken for; whole runs in this process."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from container.storage.bucket import RunBucket
from tests.container.conftest import Launch, Running, wait_for
from tests.container.recipes import fake_recipe, file_stage, script, trainer_stage

# As torchrun starts its ranks: in sessions of their own, outside the launcher's process group.
LAUNCHER = """
import os, pathlib, subprocess, sys, time
rank = "import time\\ndef waits_for_the_others():\\n    time.sleep(600)\\nwaits_for_the_others()"
child = subprocess.Popen([sys.executable, "-c", rank], start_new_session=OWN_SESSION)
os.makedirs("x", exist_ok=True)
with open("x/pids", "a") as file:
    file.write(f"{child.pid}\\n")
AND_THEN
"""


def launcher(then: str, *, own_session: bool = True) -> str:
    return LAUNCHER.replace("OWN_SESSION", str(own_session)).replace("AND_THEN", then)


def living(pids: Path) -> list[int]:
    """Return the processes of the file that still run."""
    found: list[int] = []
    for pid in map(int, pids.read_text().split()):
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
            found.append(pid)
    return found


@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize(
    "then", ["pass", "os.kill(os.getpid(), 9)", "time.sleep(600)"], ids=["ends", "dies", "hangs"]
)
def test_nothing_is_left_running_when_a_stage_ends(
    launch: Launch, tmp_path: Path, then: str, own_session: bool
):
    """Ranks that outlived their launcher held the GPUs' memory: the retry ran out of it."""
    text = launcher(then, own_session=own_session)
    stage = file_stage("data", local="x", key="", text=text, time_limit_s=2, retries=0)
    launch(fake_recipe(stage)).verdict()
    assert living(tmp_path / "work" / "x" / "pids") == []


def test_a_stall_dumps_the_stacks_of_ranks_in_sessions_of_their_own(launch: Launch):
    stage = file_stage("data", local="x", key="", text=launcher("time.sleep(600)"))
    stage = replace(stage, silence_limit_s=1.0, stall_retries=0)
    run = launch(fake_recipe(stage))
    assert run.verdict().reason == "stalled: not a word for 1 s"
    assert "in waits_for_the_others" in run.log


def test_an_evaluation_that_says_nothing_any_more_costs_minutes_not_its_time_limit(launch: Launch):
    hangs = file_stage("eval", local="x", key="", text="import time; time.sleep(600)")
    hangs = replace(hangs, silence_limit_s=0.5, optional=True)
    verdict = launch(fake_recipe(hangs, trainer_stage())).verdict()
    assert verdict.outcome == "succeeded"
    assert "without: eval: stalled 2 times: not a word for 0 s" in verdict.reason


def test_failures_with_progress_between_them_are_not_counted_together(launch: Launch):
    flags = ("--exit-once-at=3", "--exit-once-at=5")
    run = launch(fake_recipe(trainer_stage(flags=flags, retries=1)))
    assert run.verdict().outcome == "succeeded", run.log
    assert "goes on from step 4" in run.log


def test_training_that_fails_after_its_last_save_is_done(launch: Launch, bucket: RunBucket):
    """nanochat's report fails when base is resumed at its last step, and failed the run."""
    run = launch(fake_recipe(trainer_stage(flags=("--exit-at-end=1",))))
    assert run.verdict().outcome == "succeeded", run.log
    assert "exit code 1, after its model was saved" in run.log
    assert bucket.get("checkpoints/base/d2/complete_000006.json")
    assert run.log.count("step 00005/") == 1


def test_training_without_a_complete_checkpoint_is_not_done(launch: Launch):
    """Its model would be in no bucket, and the verdict said "succeeded"."""
    text = (
        "import os, zipfile\nos.makedirs('{out}')\n"
        "with zipfile.ZipFile('{out}/model_000006.pt', 'w') as file: file.writestr('x', 'y')"
    ).replace("{out}", "base_checkpoints/d2")
    stage = replace(trainer_stage(), argv=script(text), cwd="{workdir}", retries=0)
    verdict = launch(fake_recipe(stage)).verdict()
    assert verdict.outcome == "failed"
    assert verdict.reason == "exit code 0, but it left no complete checkpoint of d2"


@pytest.mark.parametrize(("grace_s", "ends"), [("5", False), ("20", True)])
def test_a_longer_grace_lets_the_running_step_take_longer_to_end(
    launch: Launch, tmp_path: Path, grace_s: str, ends: bool
):
    """The grace period was read, but the stage was ended after a second and a half all the same."""
    gate = tmp_path / "gate"
    flags = ("--wait-at=3", f"--gate={gate}")
    run = launch(fake_recipe(trainer_stage(flags=flags)), STOP_GRACE_S=grace_s)
    wait_for(lambda: "step 00002/" in run.log)
    run.supervisor.request_stop()
    asked_at = time.monotonic()
    wait_for(lambda: time.monotonic() - asked_at > 3.0 or run.supervisor.live_status.outcome)
    gate.touch()
    assert run.verdict().outcome == "stopped"
    assert ("step 00003/" in run.log) is ends


SAVES_ONCE = ("--save-every=99",)


def test_a_model_that_is_saved_once_is_not_made_twice(launch: Launch, bucket: RunBucket):
    """The second had the first one's name, and only the first was in the bucket."""
    sft = trainer_stage("sft", flags=(*SAVES_ONCE, "--exit-at-end=3"), saves_once=True)
    run = launch(fake_recipe(trainer_stage(), sft, file_stage("eval", local="e", key="e")))
    assert run.verdict().outcome == "succeeded", run.log
    lines = run.log.splitlines()
    begun = next(n for n, line in enumerate(lines) if "| sft |" in line)
    assert sum(line.startswith("step 00000/") for line in lines[begun:]) == 1


def die(run: Running) -> None:
    run.supervisor._kill.set()  # as a lost lease: it ends without a verdict
    run.thread.join(20)


@pytest.mark.parametrize("base_is_recorded", [True, False])
def test_a_saved_model_is_taken_by_the_next_machine_if_its_base_is_there(
    launch: Launch, bucket: RunBucket, tmp_path: Path, base_is_recorded: bool
):
    gate = tmp_path / "gate"
    held = file_stage(
        "eval",
        local="e",
        key="e",
        text=f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)\n"
        "os.makedirs('e', exist_ok=True); open('e/x', 'w').close()",
    )
    sft = trainer_stage("sft", flags=SAVES_ONCE, saves_once=True)
    recipe = fake_recipe(trainer_stage(), sft, held)
    first = launch(recipe)
    wait_for(lambda: bucket.get("stages/sft.json"), what=lambda: first.log)
    die(first)
    bucket.delete("lease.json")
    bucket.delete("stages/sft.json")
    if not base_is_recorded:
        bucket.delete("stages/base.json")
        for key in bucket.list("checkpoints/base/d2/complete_"):
            bucket.delete(key)
    gate.touch()
    second = launch(recipe, work="fresh", holder="two")
    assert second.verdict().outcome == "succeeded", second.log
    took = "its model was saved by an earlier start" in second.log
    assert took is base_is_recorded
    trained = len(re.findall(r"^step 00000/", second.log, re.MULTILINE))
    assert trained == (0 if base_is_recorded else 2)
    record = json.loads(bucket.get("stages/sft.json") or b"")
    assert any(one["key"].endswith("model_000006.pt") for one in record["artifacts"])
