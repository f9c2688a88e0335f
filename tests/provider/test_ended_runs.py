"""Machines of runs that have ended are given back: on a schedule, or when the run is watched."""

from __future__ import annotations

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
    assert f"machine {done} is given back" in given.stderr
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
