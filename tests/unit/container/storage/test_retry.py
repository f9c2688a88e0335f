"""When the bucket is asked again, after which pauses, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from container.storage import retry
from container.storage.bucket import (
    AbsentError,
    BucketError,
    BucketRefusedError,
    BucketUnavailableError,
)
from container.storage.retry import (
    QUICK_PAUSES_S,
    EndedError,
    doubling,
    jittered,
    pause,
    retry_briefly,
    retry_stream,
    retry_until,
    steady,
)


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, which nobody waits for here."""
    pauses: list[float] = []
    monkeypatch.setattr(retry.time, "sleep", pauses.append)
    return pauses


def answering(*answers: str | BucketError) -> Callable[[], str]:
    """Return a call that raises or returns each of these in turn."""
    following = iter(answers)

    def call() -> str:
        answer = next(following)
        if isinstance(answer, BucketError):
            raise answer
        return answer

    return call


AWAY = BucketUnavailableError("away")


def test_a_brief_outage_is_got_over(waited: list[float]) -> None:
    assert retry_briefly(answering(AWAY, AWAY, "there")) == "there"
    for seconds, planned in zip(waited, QUICK_PAUSES_S, strict=False):
        assert 0.75 * planned <= seconds <= 1.25 * planned
    assert len(waited) == 2


def test_an_outage_is_said_after_six_calls_and_about_three_seconds(waited: list[float]) -> None:
    last = BucketUnavailableError("still away")
    with pytest.raises(BucketUnavailableError, match="still away"):
        retry_briefly(answering(*[AWAY] * 5, last, "too late"))
    assert sum(waited) == pytest.approx(3.1, rel=0.25)


@pytest.mark.parametrize("error", [BucketRefusedError("no"), AbsentError("not there")])
def test_what_asking_again_does_not_mend_is_raised_at_once(
    error: BucketError, waited: list[float]
) -> None:
    with pytest.raises(type(error)):
        retry_briefly(answering(error, "never asked for"))
    assert waited == []


def test_who_gives_up_gets_the_error_of_the_call_that_was_made(waited: list[float]) -> None:
    with pytest.raises(BucketUnavailableError, match="away"):
        retry_briefly(answering(AWAY, "never asked for"), give_up=lambda: True)
    assert waited == []
    assert retry_briefly(answering("there"), give_up=lambda: True) == "there"


def test_until_it_answers_each_failure_is_said_and_every_pause_is_waited() -> None:
    said: list[str] = []
    waited: list[float] = []
    answer = retry_until(
        answering(AWAY, BucketRefusedError("refused"), AWAY, "there"),
        ended=lambda: False,
        wait=waited.append,
        pauses=doubling(),
        say=lambda error: said.append(str(error)),
    )
    assert answer == "there"
    assert said == ["away", "refused", "away"]
    assert waited == [1.0, 2.0, 4.0]


def test_when_nobody_waits_any_more_no_call_is_made() -> None:
    calls: list[bool] = []
    with pytest.raises(EndedError):
        retry_until(
            lambda: calls.append(True),
            ended=lambda: True,
            wait=lambda _: None,
            pauses=steady(),
            say=lambda _: None,
        )
    assert calls == []


def test_an_end_during_a_pause_ends_it_after_that_failure_was_said() -> None:
    said: list[BucketError] = []
    ended: list[float] = []
    with pytest.raises(EndedError):
        retry_until(
            answering(AWAY, "never asked for"),
            ended=lambda: bool(ended),
            wait=ended.append,
            pauses=steady(2.0),
            say=said.append,
        )
    assert (said, ended) == ([AWAY], [2.0])


def cut(content: bytes, *, after: list[int], opened: list[int]) -> Callable[[int], Iterator[bytes]]:
    """Return a stream of single bytes that breaks off after so many, each time it is opened."""
    cuts = iter(after)

    def open_at(start: int) -> Iterator[bytes]:
        opened.append(start)
        most = next(cuts, len(content))
        for at in range(start, len(content)):
            if at - start >= most:
                raise AWAY
            yield content[at : at + 1]

    return open_at


def test_a_stream_that_is_cut_goes_on_where_it_was() -> None:
    opened: list[int] = []
    stream = retry_stream(cut(b"abcdef", after=[2, 0, 3], opened=opened), size_bytes=6)
    assert b"".join(stream) == b"abcdef"
    assert opened == [0, 2, 2, 5]


def test_a_stream_that_moves_is_not_given_up_and_one_that_stands_still_is(
    waited: list[float],
) -> None:
    opened: list[int] = []
    stream = retry_stream(cut(b"x" * 9, after=[1] * 8, opened=opened), size_bytes=9)
    assert b"".join(stream) == b"x" * 9
    assert waited == [QUICK_PAUSES_S[0]] * 8
    stands = retry_stream(cut(b"xx", after=[1, *[0] * 9], opened=opened), size_bytes=2)
    with pytest.raises(BucketUnavailableError):
        list(stands)
    assert waited[8:] == list(QUICK_PAUSES_S)


def test_pauses_double_to_half_a_minute_or_stay_as_they_are() -> None:
    assert list(islice(doubling(), 7)) == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert list(islice(steady(), 3)) == [2.0, 2.0, 2.0]
    assert all(7.5 <= seconds <= 12.5 for seconds in jittered([10.0] * 50))


def test_a_pause_ends_soon_after_what_it_waits_for_is_over(waited: list[float]) -> None:
    pause(600.0, ended=lambda: len(waited) == 3)
    assert waited == [retry.LOOK_S] * 3
