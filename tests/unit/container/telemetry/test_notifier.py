"""What a container tells of its run, to real servers on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from container.contract.environment import RunEnvironment
from container.contract.records import Outcome
from container.telemetry.notifier import Notifier, Pace
from tests.runs_builders import verdict
from tests.unit.container.telemetry.mailbox import Mailbox, mailbox

FAST = Pace(ping_every_s=0.02, pauses_s=(0.01, 0.01))
ENVIRONMENT = RunEnvironment(
    run="main", prefix="p", recipe="rehearsal", settings={}, endpoint="https://x", bucket="b"
)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as opened:
        yield opened


def notifier(*, notify_url: str = "", ping_url: str = "", log: list[str] | None = None) -> Notifier:
    environment = replace(ENVIRONMENT, notify_url=notify_url, ping_url=ping_url)
    made = Notifier(environment, say=(log if log is not None else []).append, pace=FAST)
    made.begin()
    return made


@pytest.mark.parametrize(
    ("outcome", "tells_of_the_rental"),
    [("succeeded", True), ("failed", True), ("stopped", False)],
)
def test_a_verdict_is_told_once_and_that_the_machine_goes_on_costing(
    box: Mailbox, outcome: Outcome, tells_of_the_rental: bool
) -> None:
    telling = notifier(notify_url=f"{box.url}/hook")
    telling.tell_verdict(verdict(outcome=outcome, reason="because"))
    telling.close(within_s=20)
    ((path, body, _),) = box.came
    told = json.loads(body)
    assert path == "/hook"
    assert (told["event"], told["run"], told["prefix"]) == ("verdict", "main", "p")
    assert told["outcome"] == outcome
    assert told["text"].startswith(f"main {outcome}: because.")
    assert ("`pulumi destroy`" in told["text"]) == tells_of_the_rental


@pytest.mark.parametrize(
    ("outcome", "last"), [("succeeded", "/id"), ("failed", "/id/fail"), ("stopped", "/id/start")]
)
def test_a_watching_service_hears_a_start_again_and_again_and_how_it_ended(
    box: Mailbox, outcome: Outcome, last: str
) -> None:
    telling = notifier(ping_url=f"{box.url}/id")
    box.wait_for(lambda: len(box.came) > 2)
    telling.tell_verdict(verdict(outcome=outcome))
    telling.close(within_s=20)
    paths = box.paths()
    assert paths[0] == "/id/start"
    assert set(paths) == {"/id/start", last}
    # A ping that was on its way when the verdict came may arrive after it: once, at most.
    assert last in paths[-2:]


def test_a_run_that_can_leave_no_verdict_is_told_as_ended(box: Mailbox) -> None:
    telling = notifier(notify_url=f"{box.url}/hook", ping_url=f"{box.url}/id")
    telling.tell_no_verdict("its clock cannot be corrected")
    telling.close(within_s=20)
    assert {"/hook", "/id/fail"} <= set(box.paths())


def test_a_notice_that_is_refused_is_tried_again_and_those_after_it_wait(box: Mailbox) -> None:
    box.statuses = [500, 503, 200]
    telling = notifier(notify_url=box.url)
    telling.tell("stalled", "first")
    telling.tell("stalled", "second")
    telling.close(within_s=20)
    assert [json.loads(body)["text"] for _, body, _ in box.came] == ["first"] * 3 + ["second"]


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9/planted", "http://[planted", "nothing planted", "http://é/planted"],
)
def test_who_cannot_be_told_is_said_once_without_the_address_and_ends_nothing(address: str) -> None:
    log: list[str] = []
    telling = notifier(notify_url=address, ping_url=address, log=log)
    for _ in range(3):
        telling.tell("stalled", "text")
    telling.tell_verdict(verdict())
    telling.close(within_s=20)
    assert log
    assert len(log) == len(set(log))
    assert all("the run goes on" in line for line in log)
    assert "planted" not in "".join(log)


def test_without_addresses_nothing_is_sent_and_nothing_is_waited_for() -> None:
    telling = notifier()
    telling.tell("stalled", "text")
    telling.tell_verdict(verdict())
    telling.close(within_s=0)


def test_more_than_can_wait_is_dropped_and_not_waited_for(box: Mailbox) -> None:
    telling = Notifier(replace(ENVIRONMENT, notify_url=box.url), say=print, pace=FAST)
    for _ in range(1000):
        telling.tell("stalled", "text")
    telling.begin()
    box.wait_for(lambda: box.came)
    telling.close(within_s=0)
