"""What is said while a run that was told to stop is waited for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from components.ionet.rental.stop import SILENT_S, Asking, in_words, now_and_then, within_s
from components.ionet.rental.waiting import LONGEST_PAUSE_S, Clock
from components.r2.run_objects import RunObject, RunObjects, RunObjectsError
from container.contract.records import Lease
from container.contract.stop_order import StopOrder
from tests.runs_builders import status, verdict

ASKED = {"stopping": "the save of step 2000"}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {
                **ASKED,
                "next_save_step": 2000,
                "next_save_s": 190.0,
                "checkpoint_files": 3,
                "checkpoint_files_up": 2,
            },
            "next save at step 2000 in 3 min 10 s; 2 of 3 files up",
        ),
        ({**ASKED, "next_save_step": 2000, "next_save_s": 4.0}, "next save at step 2000 in 4 s"),
        (
            {"stopping": "the uploads", "checkpoint_files": 3, "checkpoint_files_up": 1},
            "waits for the uploads; 1 of 3 files up",
        ),
        ({}, "base: no save is known to be due; told to stop, not seen yet"),
    ],
)
def test_the_wait_says_when_the_next_save_is_due_and_how_much_is_up(
    members: dict[str, Any], expected: str
) -> None:
    assert in_words(status(**members)) == expected


def test_a_run_that_has_written_nothing_says_so() -> None:
    assert in_words(None) == "it has written nothing yet"


class Bucket:
    """A run's objects, with their ages; `away` answers nothing."""

    place = "s3://b/p"

    def __init__(self, **records: bytes) -> None:
        self.objects = {f"{name}.json": body for name, body in records.items()}
        self.ages_s: dict[str, float] = {}
        self.away = False

    def find(self, key: str) -> RunObject | None:
        if self.away:
            raise RunObjectsError("no answer")
        body = self.objects.get(key)
        return None if body is None else RunObject(body=body, age_s=self.ages_s.get(key, 0.0))

    def read(self, key: str) -> bytes | None:
        found = self.find(key)
        return None if found is None else found.body

    def write(self, key: str, body: bytes) -> None:
        self.objects[key] = body


LEASE = Lease(holder="one", attempt=1, beat_at="2026-11-28T12:00:00Z").to_json()
ORDER = StopOrder(holder="one", within_s=900.0, asked_at="").to_json()


def asked(
    bucket: Bucket, *, within_s: float = 900.0, happens: dict[float, Callable[[], None]]
) -> tuple[str, float]:
    """Ask by a clock of the test's own; return what came of it, and the seconds that it took."""
    at = [0.0]

    def sleep(seconds: float) -> None:
        at[0] += seconds
        if beats(bucket):
            bucket.objects["status.json"] = beat(bucket, at[0])
        for due in [one for one in happens if one <= at[0]]:
            happens.pop(due)()

    asking = Asking(
        open=lambda: cast("RunObjects", bucket),
        within_s=within_s,
        show=lambda _: None,
        clock=Clock(now=lambda: at[0], sleep=sleep),
    )
    came = asking.ask()
    return (came.verdict.outcome if came.verdict else came.why_none), at[0]


def beats(bucket: Bucket) -> bool:
    return "status.json" in bucket.objects and not bucket.ages_s.get("status.json")


def beat(bucket: Bucket, at: float) -> bytes:
    members = json.loads(bucket.objects["status.json"])
    return json.dumps({**members, "beat_at": f"{at:.2f}"}).encode()


def running(**members: Any) -> Bucket:
    return Bucket(lease=LEASE, status=status(**members).to_json())


def of_an_older_release() -> Bucket:
    bucket = running()
    members = json.loads(bucket.objects["status.json"])
    bucket.objects["status.json"] = json.dumps(
        {name: value for name, value in members.items() if name != "stopping"}
    ).encode()
    return bucket


def with_order(age_s: float) -> Bucket:
    bucket = running(stopping="the save of step 40")
    bucket.objects["stop.json"] = ORDER
    bucket.ages_s["stop.json"] = age_s
    return bucket


def silent(age_s: float) -> Bucket:
    bucket = running()
    bucket.ages_s["status.json"] = age_s
    return bucket


@pytest.mark.parametrize(
    ("bucket", "came", "within"),
    [
        (Bucket(), "no container trains it", 0.0),
        (of_an_older_release(), "is of an older release", 0.0),
        (silent(91.0), "no sign of life for 1 min 31 s", 0.0),
        (running(), "nobody saw within 1 min", SILENT_S),
        (running(stopping="the save of step 40"), "no verdict within", 1200.0),
        (with_order(300.0), "no verdict within", 900.0),
        (with_order(1250.0), "no verdict within", 0.0),
    ],
    ids=["not begun", "older", "silent", "not seen", "seen", "told before", "told long before"],
)
def test_every_wait_ends(bucket: Bucket, came: str, within: float) -> None:
    told, took_s = asked(bucket, happens={})
    assert came in told
    assert within <= took_s <= within + LONGEST_PAUSE_S


def test_a_bucket_that_is_away_is_asked_for_a_minute_and_a_half() -> None:
    bucket = running()
    bucket.away = True
    told, took_s = asked(bucket, happens={})
    assert "the bucket does not answer (no answer)" in told
    assert SILENT_S <= took_s <= SILENT_S + LONGEST_PAUSE_S


def test_a_bucket_that_answers_again_loses_nothing() -> None:
    bucket = running(stopping="the save of step 40")
    bucket.away = True

    def comes_back() -> None:
        bucket.away = False

    def ends() -> None:
        bucket.objects["verdict.json"] = verdict(outcome="stopped").to_json()

    told, took_s = asked(bucket, happens={60.0: comes_back, 400.0: ends})
    assert (told, took_s > 400.0) == ("stopped", True)
    assert "stop.json" in bucket.objects


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("15m", 900.0), ("90s", 90.0), ("1h", 3600.0), ("2", 120.0), ("0", 0.0), ("", 900.0)],
)
def test_the_bound_is_a_variable_of_the_environment(said: str, seconds: float) -> None:
    assert within_s({"TRAINSTACK_STOP_WITHIN": said}) == seconds


def test_a_wait_is_said_at_once_when_it_is_another_and_its_figures_at_times() -> None:
    at, said = [0.0], list[str]()
    tell = now_and_then(said.append, clock=Clock(now=lambda: at[0]))
    save = "next save at step 40 in {}; 2 of 3 files up; 14 min 00 s at most"
    for at[0], words in (
        (0.0, "told to stop, not seen yet; 15 min 00 s at most"),
        (1.0, save.format("2 min 10 s")),
        (3.0, save.format("58 s")),
        (17.0, save.format("40 s")),
        (18.0, "waits for the uploads; 1 of 3 files up; 1 s at most"),
    ):
        tell(words)
    assert [words.partition(";")[0] for words in said] == [
        "told to stop, not seen yet",
        "next save at step 40 in 2 min 10 s",
        "next save at step 40 in 40 s",
        "waits for the uploads",
    ]
