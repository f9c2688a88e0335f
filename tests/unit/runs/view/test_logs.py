"""A run's output, put together from many objects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runs.errors import UnreachableError
from runs.source.bucket import StoredObject
from runs.view import logs
from runs.view.follower import Follower
from runs.view.logs import Part
from runs.view.standing import WatchLimits
from tests.runs_builders import status, verdict
from tests.unit.runs.view.test_follower import FakeBucket, beat, follower

BEGIN = datetime(2026, 11, 23, tzinfo=UTC)


def stored(*names: str) -> list[StoredObject]:
    """Objects written one second after another, listed in key order."""
    found = [
        StoredObject(key=f"p/logs/{name}", size_bytes=1, modified_at=BEGIN + timedelta(seconds=n))
        for n, name in enumerate(names)
    ]
    return sorted(found, key=lambda o: o.key)


def named(parts: Iterable[Part]) -> list[str]:
    return [f"{p.attempt}-{p.stage}-{p.seq}" for p in parts]


def part(stage: str = "base", seq: int = 0, attempt: int = 1) -> Part:
    return Part(key=f"{attempt}-{stage}-{seq}", attempt=attempt, stage=stage, seq=seq)


def test_stages_come_as_they_began_and_attempts_by_number() -> None:
    objects = stored(
        "2-verify-00000.log",
        "10-verify-00000.log",
        "1-verify-00000.log",
        "1-base-00000.log",
        "1-data-00000.log",
        "1-base-00001.log",
        "readme.txt",
    )
    assert named(logs.parts_in_order(objects)) == [
        "1-verify-0",
        "1-base-0",
        "1-base-1",
        "1-data-0",
        "2-verify-0",
        "10-verify-0",
    ]


def test_a_stage_name_may_hold_dashes_and_the_tenth_piece_comes_after_the_ninth() -> None:
    objects = stored("1-chat-eval-10.log", "1-chat-eval-9.log")
    assert named(logs.parts_in_order(objects, stage="chat-eval")) == [
        "1-chat-eval-9",
        "1-chat-eval-10",
    ]


def test_only_the_asked_stage_and_attempt_are_read() -> None:
    objects = stored("1-base-0.log", "2-base-0.log", "2-sft-0.log")
    assert named(logs.parts_in_order(objects, stage="base", attempt=2)) == ["2-base-0"]


def test_a_line_that_spans_objects_is_one_line() -> None:
    pieces = [(part(seq=0), b"one\ntw"), (part(seq=1), b""), (part(seq=2), b"o\nthree")]
    assert [line for _, line in logs.lines(pieces)] == ["one", "two", "three"]


def test_a_character_that_spans_objects_is_whole() -> None:
    raw = "Ünï\n".encode()
    pieces = [(part(seq=n), raw[n : n + 1]) for n in range(len(raw))]
    assert [line for _, line in logs.lines(pieces)] == ["Ünï"]


def test_stages_do_not_run_into_each_other() -> None:
    pieces = [(part("base"), b"no newline"), (part("sft"), b"next\n")]
    assert [(p.stage, line) for p, line in logs.lines(pieces)] == [
        ("base", "no newline"),
        ("sft", "next"),
    ]


def test_the_last_lines_only() -> None:
    found = logs.lines([(part(), b"1\n2\n3\n")])
    assert [line for _, line in logs.last(found, 2)] == ["2", "3"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plain Ünïcode\ttab", "plain Ünïcode\ttab"),
        ("\x1b[1;32mgreen\x1b[0m", "\x1b[1;32mgreen\x1b[0m"),
        ("10%\r50%\r100%", "100%"),
        ("50%\r", "50%"),
        ("\x1b]0;evil title\x07text", "text"),
        ("\x1b]52;c;aGk=\x1b\\text", "text"),
        ("\x1b[2J\x1b[Htext", "text"),
        ("\x1b[>4;2mtext", "text"),
        ("\x1b[?1049htext", "text"),
        ("\x1bctext", "ctext"),
        ("bell\x07 and \x9b31m", "bell and 31m"),
    ],
)
def test_a_remote_log_cannot_steer_the_terminal(line: str, expected: str) -> None:
    assert logs.tamed(line) == expected


class LogBucket(FakeBucket):
    """A bucket that gets one log object every ten seconds, and does not answer in an outage."""

    def __init__(self, like: FakeBucket, *, outage_s: tuple[float, float]) -> None:
        super().__init__(like.clock, like.script)
        self.outage_s = outage_s

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        self._fail_in_outage()
        written = range(int(self.clock.passed_s // 10) + 1)
        return iter(stored(*(f"1-base-{n:05}.log" for n in written)))

    def read_many(self, keys: list[str]) -> Iterator[tuple[str, bytes]]:
        for key in keys:
            self._fail_in_outage()
            yield key, f"{key[-9:-4]}\n".encode()

    def _fail_in_outage(self) -> None:
        begin, end = self.outage_s
        if begin <= self.clock.passed_s < end:
            raise UnreachableError("cannot list: nothing answers.\nDo this.")


def followed(
    *script: tuple[float, str, Any], outage_s: tuple[float, float] = (0, 0)
) -> tuple[Follower, list[str], Iterator[str]]:
    found = follower(list(script))
    place: Any = LogBucket(found.bucket, outage_s=outage_s)  # type: ignore[arg-type]
    found.bucket = place
    told: list[str] = []
    pieces = logs.follow(found, choose=logs.parts_in_order, tell=told.append)
    return found, told, (line for _, line in logs.lines(pieces))


def test_an_outage_while_output_is_followed_is_told_once_and_waited_out() -> None:
    alive = (0, "dev-main/status.json", status(beat_at=beat(0)))
    _, told, found = followed(alive, (100, "dev-main/verdict.json", verdict()), outage_s=(30, 90))
    assert [int(line) for line in found] == list(range(11))
    assert len(told) == 1
    assert "nothing answers" in told[0]


def test_an_outage_that_does_not_end_ends_the_following() -> None:
    found, _, pieces = followed(
        (0, "dev-main/status.json", status(beat_at=beat(0))), outage_s=(30, 9999)
    )
    found.limits = WatchLimits(gone_after_s=300)
    with pytest.raises(UnreachableError):
        list(pieces)
    assert found.clock.monotonic() - 1000 == pytest.approx(330, abs=10)


def test_output_of_a_machine_that_vanished_is_not_followed_for_ever() -> None:
    found, _, pieces = followed((0, "dev-main/status.json", status(beat_at=beat(0))))
    assert len(list(pieces)) == 61
    view = found.watched[0].view
    assert view is not None
    assert view.standing == "gone"


def test_a_bucket_that_cannot_be_read_at_first_is_an_error_at_once() -> None:
    _, _, pieces = followed((0, "*", UnreachableError("nothing answers")))
    with pytest.raises(UnreachableError):
        list(pieces)
