"""`python -m runs stop` as a process: the run is asked first, then its machine is given back.

The io.net account and the bucket are stand-ins; a thread of the test plays the container.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from container.contract.records import RunStatus
from container.contract.stop_order import StopOrder
from tests import ROOT
from tests.contract.caas_place import CaasPlace, eventually
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.run_in_bucket import OF_ORDERS, RunInBucket
from tests.provider.test_reap import World, entry
from tests.runs_builders import status

PREFIX = "dev-main-0a1b2c3d-feed0002"
HERE = ("--bucket", BUCKET)


@pytest.fixture
def world(caas: CaasPlace, r2: FakeR2, tmp_path: Path) -> World:
    return World(caas, r2, tmp_path)


def run_of(world: World) -> RunInBucket:
    return RunInBucket(r2=world.r2, prefix=PREFIX)


def put(world: World, key: str, body: bytes) -> None:
    run_of(world).put(key, body)


def running(world: World, **members: Any) -> str:
    """A run that trains, on a machine that the ledger knows."""
    machine = world.machine()
    world.ledger(entry(machine))
    run_of(world).trains(**members)
    return machine


def save_and_end(world: World, *, steps: int) -> None:
    run_of(world).saves_and_ends(steps=steps)


def container(
    world: World, *, answers: Callable[[StopOrder], None]
) -> AbstractContextManager[list[StopOrder]]:
    return run_of(world).container(answers=answers)


def stop(world: World, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    return world.runs("stop", "main", *words, expect=expect)


def rows_of(block: str) -> dict[str, str]:
    """The rows of a receipt by their names, each on one line again."""
    joined = re.sub(r"\n {12}", " ", block).splitlines()[1:]
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in joined}


def test_the_run_saves_and_writes_its_verdict_before_its_machine_is_given_back(
    world: World,
) -> None:
    machine = running(world)

    def answers(order: StopOrder) -> None:
        assert world.caas.details(machine)["status"] == "running"
        save_and_end(world, steps=42)

    with container(world, answers=answers) as seen:
        done = stop(world, "--bucket", BUCKET, "--within", "2m")
    assert (seen[0].holder, seen[0].within_s) == ("one", 120.0)
    assert world.caas.details(machine)["status"] == "destroyed"
    assert world.states() == ["given back"]
    assert done.stdout.startswith("main: stopped (asked)\n")
    assert max(map(len, done.stdout.splitlines())) <= 80
    rows = rows_of(done.stdout)
    assert rows["machine"] == f"{machine} is given back"
    assert "all 2 that the manifest and the checkpoints list are whole" in rows["kept"]
    assert f"s3://{BUCKET}/{PREFIX}" in rows["kept"]
    assert rows["lost"] == "2 steps of stage base, since its checkpoint of step 40"
    assert rows["charged"] == "$0.41, by io.net's record"
    assert rows["refunded"] == "$0.00 (its record says $0.41 before, $0.41 after)"
    assert "1.0 h unused" in rows["hours"]
    assert "--yes" not in done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["an older image", "a container that is gone"])
def test_a_run_that_does_not_answer_is_given_back_when_the_bound_is_over(
    world: World, kind: str
) -> None:
    machine = running(world)
    done = stop(world, "--bucket", BUCKET, "--within", "2s", "--json")
    assert "told to stop, not seen yet" in done.stderr
    assert "Its machine is given back all the same" in done.stderr
    (receipt,) = json.loads(done.stdout)
    assert receipt["ended"] == "ended without a verdict"
    assert receipt["lost"] == "24 steps of stage base, as it has no checkpoint"
    assert receipt["kept"]["has_manifest"] is False
    assert world.caas.details(machine)["status"] == "destroyed", kind


def test_what_is_waited_for_is_shown(world: World) -> None:
    running(
        world,
        next_save_step=40,
        next_save_s=190.0,
        checkpoint_files=3,
        checkpoint_files_up=2,
        stopping="the save of step 40",
    )
    with container(world, answers=lambda _: None):
        process = typed(world, "--within", "5m")
        assert process.stderr is not None
        line = next(one for one in process.stderr if "next save" in one)
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert "main: next save at step 40 in 3 min 10 s; 2 of 3 files up" in line


def typed(world: World, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "runs", "stop", "main", "--bucket", BUCKET, *words],
        cwd=ROOT,
        env=world.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_takes_the_order_back_and_the_same_again_goes_on(world: World) -> None:
    machine = running(world)
    process = typed(world, "--within", "5m")
    order = f"/{BUCKET}/{PREFIX}/stop.json"
    eventually(lambda: order in world.r2.objects)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "The order to stop was taken back" in told
    assert order not in world.r2.objects
    assert world.caas.details(machine)["status"] == "running"
    assert machine in world.reap("--bucket", BUCKET).stdout
    with container(world, answers=lambda _: save_and_end(world, steps=40)):
        stop(world, "--bucket", BUCKET)
    assert world.caas.details(machine)["status"] == "destroyed"
    again = stop(world, "--bucket", BUCKET)
    assert "no live machine of main" in again.stderr


def test_a_machine_that_has_not_begun_is_not_waited_for(world: World) -> None:
    machine = world.machine()
    world.ledger(entry(machine))
    put(world, "run.json", b"{}")
    done = stop(world, "--bucket", BUCKET, "--within", "10m")
    assert "nothing to wait for" in done.stderr
    assert world.caas.details(machine)["status"] == "destroyed"


def test_now_asks_nothing_and_gives_back_at_once(world: World) -> None:
    machine = running(world)
    stop(world, "--bucket", BUCKET, "--now")
    assert f"/{BUCKET}/{PREFIX}/stop.json" not in world.r2.objects
    assert world.caas.details(machine)["status"] == "destroyed"


def with_outputs(world: World, machine: str) -> None:
    """A stack that knows the machine, and whose outputs name the run."""
    outputs = json.dumps({"r2_prefix": PREFIX, "deployment_id": machine, "bucket": BUCKET})
    config = {"trainstack:cloud": {"value": "local"}, "trainstack:bucket": {"value": BUCKET}}
    state = {"deployment": {"resources": [{"urn": "d", "id": machine}]}}
    world.pulumi(
        f"case \"$*\" in *export*) echo '{json.dumps(state)}';; "
        f"*config*) echo '{json.dumps(config)}';; *) echo '{outputs}';; esac"
    )


@pytest.mark.parametrize("refuses", ["SlowDown", "AccessDenied"])
def test_with_the_bucket_away_the_machine_is_given_back_all_the_same(
    world: World, refuses: str
) -> None:
    machine = running(world)
    with_outputs(world, machine)
    world.r2.refuse = refuses
    done = stop(world, "--stack", "dev", "--within", "3s")
    assert "the bucket does not answer" in done.stderr
    assert world.caas.details(machine)["status"] == "destroyed"
    assert rows_of(done.stdout)["kept"].startswith("not known: cannot list")
    assert rows_of(done.stdout)["charged"].startswith("$0.41")


def test_a_machine_that_the_state_knows_needs_no_further_word(world: World) -> None:
    machine = running(world)
    with_outputs(world, machine)
    save_and_end(world, steps=40)
    done = stop(world, "--stack", "dev")
    assert rows_of(done.stdout)["lost"] == "nothing: stage base is saved up to step 40"
    assert world.caas.details(machine)["status"] == "destroyed"


def test_a_refund_is_what_the_vendors_record_shows_before_and_after(world: World) -> None:
    world.caas.behave(early_destroy="first_hour_kept")
    machine = world.caas.deploy("trainstack-dev-main-0a1b2c3d-cafe0001", duration_hours=3)
    world.caas.until(machine, "running")
    world.ledger(entry(machine))
    save_and_end(world, steps=40)
    paid = float(world.caas.details(machine)["amount_paid"])
    done = stop(world, "--bucket", BUCKET, "--json")
    (receipt,) = json.loads(done.stdout)
    after = float(world.caas.details(machine)["amount_paid"])
    assert after < paid
    assert float(receipt["refunded_usd"]) == pytest.approx(paid - after)


def test_another_runs_machine_is_left_alone(world: World) -> None:
    machine = running(world)
    other = world.caas.deploy("trainstack-dev-main-11111111-cafe0001")
    stop(world, "--bucket", BUCKET, "--now")
    assert world.caas.details(machine)["status"] == "destroyed"
    assert world.caas.details(other)["status"] != "destroyed"


@pytest.mark.parametrize("said", ["", "soon", "-3m", "1d", "15 m 2"])
def test_a_bound_that_is_no_time_is_refused_before_anybody_is_asked(
    world: World, said: str
) -> None:
    assert "such as 15m" in stop(world, "--within", said, expect=2).stderr


def test_a_status_of_an_older_image_reads_as_one_that_knows_no_saves() -> None:
    raw = status().to_json()
    members = json.loads(raw)
    for name in OF_ORDERS:
        del members[name]
    assert RunStatus.from_json(json.dumps(members)).next_save_step is None


def test_the_same_again_tells_from_the_records_what_was_kept_and_charged(world: World) -> None:
    machine = running(world)
    save_and_end(world, steps=41)
    first = rows_of(stop(world, *HERE, "--now").stdout)
    again = stop(world, *HERE)
    told = rows_of(again.stdout)
    assert "there is nothing to give back" in again.stderr
    assert told["machine"] == f"{machine} is given back"
    assert (told["kept"], told["lost"]) == (first["kept"], first["lost"])
    assert told["charged"] == first["charged"]
    (as_json,) = json.loads(stop(world, *HERE, "--json").stdout)
    assert (as_json["deployment_id"], as_json["charged_usd"]) == (machine, "0.409")


def test_a_stop_that_was_killed_before_the_ledger_knew_is_closed_by_the_same_again(
    world: World,
) -> None:
    machine = running(world)
    world.caas.call("DELETE", f"deployment/{machine}")
    world.caas.until(machine, "destroyed")
    assert world.states() == ["rented"]
    assert f"{machine} is given back" in stop(world, *HERE).stdout
    assert world.states() == ["given back"]


def test_a_run_without_a_machine_that_anybody_knows_is_told_by_its_records(world: World) -> None:
    save_and_end(world, steps=41)
    told = rows_of(stop(world, *HERE).stdout)
    assert told["machine"] == "none is listed, live or given back"
    assert "all 2 that the manifest and the checkpoints list are whole" in told["kept"]
