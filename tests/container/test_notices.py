"""Whoever a stack names is told what becomes of a run, by the supervisor itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.container.conftest import Launch
from tests.container.recipes import fake_recipe, script, trainer_stage
from tests.unit.container.telemetry.mailbox import Mailbox, mailbox


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as opened:
        yield opened


def told(box: Mailbox) -> list[tuple[str, str]]:
    """Return event and outcome of each notice."""
    bodies = [json.loads(body) for path, body, _ in box.came if path.startswith("/planted-hook")]
    return [(body["event"], body["outcome"]) for body in bodies]


def test_a_verdict_is_told_and_the_addresses_are_shown_nowhere(launch: Launch, box: Mailbox):
    run = launch(NOTIFY_URL=f"{box.url}/planted-hook", PING_URL=f"{box.url}/planted-id")
    assert run.verdict().outcome == "succeeded"
    box.wait_for(lambda: box.came and box.came[-1][0] == "/planted-id")
    assert told(box) == [("verdict", "succeeded")]
    assert box.came[0][0] == "/planted-id/start"
    assert run.end() == 0
    assert "planted" not in run.log
    assert told(box) == [("verdict", "succeeded")]


def test_a_stall_is_told_each_time_and_then_the_failure(launch: Launch, box: Mailbox):
    stage = replace(trainer_stage(), argv=script("import time; time.sleep(600)"))
    recipe = fake_recipe(replace(stage, first_step_limit_s=1.0))
    run = launch(recipe, NOTIFY_URL=f"{box.url}/planted-hook")
    assert run.verdict().outcome == "failed"
    box.wait_for(lambda: ("verdict", "failed") in told(box))
    assert told(box) == [("stalled", ""), ("verdict", "failed")]


def test_a_service_that_is_away_changes_nothing_of_a_run(launch: Launch):
    away = "http://127.0.0.1:9/planted"
    run = launch(NOTIFY_URL=away, PING_URL=away)
    assert run.verdict().outcome == "succeeded"
    assert run.end() == 0
    assert "not told: 127.0.0.1 does not answer" in run.log
    assert "planted" not in run.log
