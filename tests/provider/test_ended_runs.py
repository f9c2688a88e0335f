"""Machines of runs that have ended are given back: on a schedule, or when the run is watched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.caas_place import CaasPlace
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.test_reap import World
from tests.runs_builders import status, verdict

HERE = ("--bucket", BUCKET)


@pytest.fixture
def world(caas: CaasPlace, r2: FakeR2, tmp_path: Path) -> World:
    return World(caas, r2, tmp_path)


def machine_of(world: World, run: str, outcome: Any = "", **env: str) -> str:
    """A machine that trains a run, or did, and what that left in the bucket."""
    prefix = f"dev-{run}-0a1b2c3d-feed0002"
    variables = {"RUN_NAME": run, "RUN_PREFIX": prefix, **env}
    found = world.caas.deploy(f"trainstack-dev-{run}-0a1b2c3d-cafe0001", env_variables=variables)
    world.caas.until(found, "running")
    place = f"/{BUCKET}/{prefix}"
    world.r2.objects[f"{place}/status.json"] = status(run=run).to_json()
    if outcome:
        world.r2.objects[f"{place}/verdict.json"] = verdict(run=run, outcome=outcome).to_json()
    return found


def lives(world: World, machine: str) -> bool:
    return world.caas.details(machine)["status"] == "running"


def test_a_schedule_gives_back_what_succeeded_and_nothing_else(world: World) -> None:
    done = machine_of(world, "done", "succeeded")
    served = machine_of(world, "served", "succeeded", KEEP_ALIVE="true")
    failed, trains = machine_of(world, "bad", "failed"), machine_of(world, "busy")
    looked = world.reap("--ended", *HERE)
    assert f"of runs that have ended: {done}" in looked.stderr
    assert all(lives(world, one) for one in (done, served, failed, trains))
    given = world.reap("--ended", "--yes", *HERE)
    assert f"machine   {done} is given back" in given.stderr
    assert "charged   $0.41" in given.stderr
    assert [lives(world, one) for one in (done, served, failed, trains)] == [False, *[True] * 3]
    assert f"left: {served}: its run succeeded, and it is kept alive" in given.stderr
    world.reap("--ended", "--failed", "--yes", *HERE)
    assert [lives(world, one) for one in (served, failed, trains)] == [True, False, True]
    assert "of runs that have ended: none" in world.reap("--ended", *HERE).stderr


def test_a_verdict_that_is_damaged_or_not_to_be_had_gives_nothing_back(world: World) -> None:
    one = machine_of(world, "done")
    world.r2.objects[f"/{BUCKET}/dev-done-0a1b2c3d-feed0002/verdict.json"] = b"{"
    assert "cannot be read" in world.reap("--ended", "--yes", *HERE).stderr
    world.r2.refuse = "AccessDenied"
    world.reap("--ended", "--yes", *HERE, expect=5)
    assert lives(world, one)


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--failed",), "goes with --ended"), (("--ended", "an-id"), "cannot stand together")],
)
def test_words_that_make_no_sense_together_are_refused(
    world: World, words: tuple[str, ...], told: str
) -> None:
    assert told in world.reap(*words, *HERE, expect=2).stderr


@pytest.mark.parametrize(
    ("outcome", "keep_alive", "expect", "left"),
    [
        ("succeeded", "", 0, False),
        ("succeeded", "true", 0, True),
        ("failed", "", 1, True),
        ("stopped", "", 3, True),
    ],
)
def test_who_watches_may_have_the_machine_given_back_when_its_run_succeeded(
    world: World, outcome: str, keep_alive: str, expect: int, left: bool
) -> None:
    env = {"KEEP_ALIVE": keep_alive} if keep_alive else {}
    one = machine_of(world, "main", outcome, **env)
    other = machine_of(world, "other", "succeeded")
    done = world.runs("watch", "--run", "main", "--stop-when-done", *HERE, expect=expect)
    assert lives(world, one) is left
    assert lives(world, other), "it was not watched"
    assert ("is given back" in done.stderr) is not left


def test_a_watch_that_shall_end_machines_tries_its_key_before_it_watches(world: World) -> None:
    machine_of(world, "main")  # would be watched for ever
    world.environ["IOCLOUD_API_KEY"] = "wrong"
    world.runs("watch", "--run", "main", "--stop-when-done", *HERE, expect=5)


@pytest.mark.parametrize("command", ["status", "list", "watch"])
def test_whatever_looks_at_a_run_that_has_ended_says_that_its_machine_is_still_rented(
    world: World, command: str
) -> None:
    one = machine_of(world, "main", "succeeded")
    which = () if command == "list" else ("--run", "main")
    told = world.runs(command, *HERE, *which).stderr
    assert "charged $0.41 (1 h prepaid, $0.02 of it used); machine STILL RENTED 1.0 h" in told
    typed = told.partition("`python -m runs ")[2].partition("`")[0]
    assert f"--bucket {BUCKET}" in typed
    world.runs(*typed.split())
    assert not lives(world, one)
    assert "RENTED" not in world.runs(command, *HERE, *which).stderr


def test_machine_readable_it_is_a_member_and_null_without_a_machine(world: World) -> None:
    machine_of(world, "main", "failed")
    machine_of(world, "busy")
    entries = json.loads(world.runs("list", "--json", *HERE).stdout)
    rented = {one["run"]: one["still_rented"] for one in entries}
    assert rented["busy"] is None
    assert rented["main"]["charged_usd"] == "0.409"
    assert 0.9 < rented["main"]["hours_left_at_most"] <= 1.0
    one = json.loads(world.runs("status", "--run", "main", "--json", *HERE).stdout)
    assert one["still_rented"]["hours_left_at_least"] <= 1.0


@pytest.mark.parametrize(("key", "why"), [("", "no io.net key"), ("wrong", "refused the API key")])
def test_an_account_that_cannot_be_asked_keeps_nobody_from_looking(
    world: World, key: str, why: str
) -> None:
    machine_of(world, "main", "succeeded")
    world.environ["IOCLOUD_API_KEY"] = key
    told = world.runs("status", "--run", "main", *HERE).stderr
    assert "whether a machine is still rented was not asked" in told
    assert why in told
