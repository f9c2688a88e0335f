"""Following a run: machine and bucket asked until the verdict; nobody waits for the clock."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from container.contract.records import Record, RunStatus
from runs.commands.watch import follow as watch
from runs.errors import EXIT_FAILED, EXIT_GONE, EXIT_OK, EXIT_STOPPED, UnreachableError
from runs.source.stack import Target
from runs.view import follower as following
from runs.view.follower import Follower
from runs.view.standing import WatchLimits
from tests.runs_builders import status, verdict

BEGIN = datetime(2026, 11, 23, 10, 0, 0, tzinfo=UTC)


class FakeClock:
    """Time passes when somebody sleeps."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.passed_s)

    def monotonic(self) -> float:
        return 1000.0 + self.passed_s

    def sleep(self, seconds: float) -> None:
        self.passed_s += seconds


class FakeBucket:
    """A bucket whose records depend on the time; a script line is (from when, key, record)."""

    name = "bucket"

    def __init__(
        self, clock: FakeClock, script: list[tuple[float, str, Record | Exception]]
    ) -> None:
        self.clock = clock
        self.script = script
        self.asked: list[tuple[float, str]] = []

    def record(self, key: str, kind: type[Record]) -> Record | None:
        self.asked.append((self.clock.passed_s, key))
        found: Record | Exception | None = None
        for since_s, name, record in self.script:
            if name in (key, "*") and self.clock.passed_s >= since_s:
                found = record
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, kind) else None


def beat(passed_s: float) -> str:
    return (BEGIN + timedelta(seconds=passed_s)).isoformat()


def follower(
    script: list[tuple[float, str, Record | Exception]],
    *,
    live: Any = None,
    runs: tuple[str, ...] = ("main",),
    **limits: float,
) -> Follower:
    clock = FakeClock()
    bucket: Any = FakeBucket(clock, script)
    url = "http://machine" if live else ""
    return Follower(
        [Target(run=run, prefix=f"dev-{run}", status_url=url) for run in runs],
        bucket=bucket,
        limits=WatchLimits(**limits),
        clock=clock,
        read_live=lambda _: live(clock.passed_s) if live else None,
    )


def test_a_run_is_followed_to_its_verdict_though_the_machine_is_not_there_yet() -> None:
    found = follower(
        [
            (30, "dev-main/status.json", status(beat_at=beat(30))),
            (60, "dev-main/verdict.json", verdict()),
        ]
    )
    standings = [views[0].standing for views in found.until_ended()]
    assert standings[0] == "waiting"
    assert "running" in standings
    assert standings[-1] == "succeeded"


def test_a_machine_that_stops_beating_is_quiet_then_gone() -> None:
    found = follower([(0, "dev-main/status.json", status(beat_at=beat(0)))], gone_after_s=600)
    seen = {views[0].standing: found.clock.monotonic() - 1000 for views in found.until_ended()}
    assert list(seen) == ["running", "quiet", "gone"]
    assert seen["gone"] == pytest.approx(600, abs=2)


def test_a_machine_that_says_it_can_write_no_verdict_ends_the_looking(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its clock is off: nothing of it is in the bucket, or only what an earlier attempt left."""
    page = status(attempt=0, no_verdict="its clock is 62 min ahead", beat_at=beat(-3700))
    earlier: list[tuple[float, str, Record | Exception]] = [
        (0, "dev-main/status.json", status(attempt=3, beat_at=beat(0)))
    ]
    for script in ([], earlier):
        found = follower(script, live=lambda _: page)
        assert watch(found, as_json=False) == EXIT_FAILED
        told = capsys.readouterr()
        assert "failed: its clock is 62 min ahead" in told.out
        assert "there is no verdict: its clock is 62 min ahead" in " ".join(told.err.split())
        assert "`pulumi destroy` gives it back" in " ".join(told.err.split())


def test_a_machine_that_never_beats_is_gone_after_its_own_time() -> None:
    found = follower([], first_beat_within_s=1800)
    last = [views[0] for views in found.until_ended()][-1]
    assert (last.standing, last.waited_s) == ("gone", pytest.approx(1800, abs=2))


def test_while_the_machine_answers_the_bucket_is_asked_now_and_then_only() -> None:
    def live(passed_s: float) -> RunStatus:
        return status(beat_at=beat(passed_s))

    found = follower([(60, "dev-main/verdict.json", verdict())], live=live)
    views = [views[0] for views in found.until_ended()]
    assert views[3].origin == "machine"
    bucket: Any = found.bucket
    assert len({at_s for at_s, _ in bucket.asked}) <= 12


def test_the_machines_word_about_the_end_is_checked_at_once_and_is_not_the_verdict() -> None:
    def live(passed_s: float) -> RunStatus:
        return status(beat_at=beat(passed_s), outcome="succeeded" if passed_s > 2 else None)

    found = follower([(9, "dev-main/verdict.json", verdict(outcome="failed"))], live=live)
    views = [views[0] for views in found.until_ended()]
    assert views[-1].standing == "failed"
    assert {view.standing for view in views[:-1]} == {"running"}
    assert found.clock.monotonic() - 1000 == pytest.approx(10, abs=1)


def test_an_outage_of_the_bucket_is_waited_out() -> None:
    found = follower(
        [
            (0, "dev-main/status.json", status(beat_at=beat(0))),
            (10, "*", UnreachableError("cannot read: nothing answers.\nDo this.")),
            (200, "*", status(beat_at=beat(199))),
            (220, "dev-main/verdict.json", verdict()),
        ],
        gone_after_s=600,
    )
    views = [views[0] for views in found.until_ended()]
    assert any(view.trouble == "cannot read: nothing answers." for view in views)
    assert views[-1].standing == "succeeded"
    assert views[-1].trouble == ""


def test_an_outage_of_the_bucket_is_never_taken_for_the_silence_of_a_machine() -> None:
    found = follower(
        [
            (0, "dev-main/status.json", status(beat_at=beat(0))),
            (30, "*", UnreachableError("nothing answers")),
        ],
        gone_after_s=600,
    )
    seen: list[str] = []
    with pytest.raises(UnreachableError):
        for views in found.until_ended():
            seen.append(views[0].standing)
    assert set(seen) == {"running"}
    assert found.clock.monotonic() - 1000 == pytest.approx(630, abs=8)


def test_a_bucket_that_cannot_be_read_at_first_ends_the_looking() -> None:
    with pytest.raises(UnreachableError):
        follower([(0, "*", UnreachableError("nothing answers"))]).look()


def test_several_runs_are_followed_until_the_last_has_ended() -> None:
    found = follower(
        [
            (4, "dev-a/verdict.json", verdict()),
            (0, "dev-b/status.json", status(beat_at=beat(0))),
            (20, "dev-b/verdict.json", verdict(outcome="stopped")),
        ],
        runs=("a", "b"),
    )
    assert [view.standing for view in list(found.until_ended())[-1]] == ["succeeded", "stopped"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([(0, "dev-main/verdict.json", verdict())], EXIT_OK),
        ([(0, "dev-main/verdict.json", verdict(outcome="failed"))], EXIT_FAILED),
        ([(0, "dev-main/verdict.json", verdict(outcome="stopped"))], EXIT_STOPPED),
        ([], EXIT_GONE),
    ],
)
def test_watch_exits_as_documented(script: list[Any], expected: int) -> None:
    assert watch(follower(script), as_json=False) == expected


def test_a_log_gets_one_line_a_stage_and_one_each_five_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stages = ("verify", "data", "tokenizer", "base", "sft")

    def live(passed_s: float) -> RunStatus:
        stage = stages[min(int(passed_s // 20), 4)]
        return status(beat_at=beat(passed_s), stage=stage, step=int(passed_s))

    found = follower([(100, "dev-main/verdict.json", verdict())], live=live)
    watch(found, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if " base " in line]) in (4, 5)
    assert all(any(f" {stage} " in line for line in lines) for stage in stages)
    assert lines[-1] == "[2m 30s $0.02] main succeeded: all stages done"
    assert max(map(len, lines)) <= 100


def test_a_failure_is_told_with_its_last_lines_and_no_control_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = verdict(
        outcome="failed",
        stage="base",
        reason="base ended with exit code 1",
        exit_code=1,
        log_tail=[f"line {n}" for n in range(50)] + ["\x1b]0;title\x07ValueError: x"],
    )
    assert watch(follower([(0, "dev-main/verdict.json", bad)]), as_json=False) == EXIT_FAILED
    told = capsys.readouterr().err
    assert "ValueError: x" in told
    assert "\x1b" not in told
    assert "line 10" not in told
    assert "runs logs --run main --stage base" in told


@contextmanager
def machine(then: str) -> Iterator[str]:
    """A status page that promises more than it sends, then is cut, stalls, or drips on and on."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        link, _ = listener.accept()
        with link:
            link.recv(65536)
            link.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n{"schema": 1, ')
            while then != "cut" and not ended.wait(0.01):
                if then == "drips":
                    with suppress(OSError):  # the other side gave up
                        link.sendall(b" ")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        ended.set()
        thread.join()
        listener.close()


@pytest.mark.timeout(20)  # a page that drips would otherwise be read for hours
@pytest.mark.parametrize("then", ["cut", "stalls", "drips"])
def test_a_status_page_that_does_not_end_is_no_answer(
    then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_CONNECT_AND_READ_S", (2, 0.2))
    monkeypatch.setattr(following, "_PAGE_WITHIN_S", 0.5)
    with machine(then) as url:
        assert following.read_live_status(url) is None
