"""A machine whose clock is off: it signs with the bucket's time, or ends and says so."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.exceptions import SSLError

from container.contract.clock import Clock
from container.contract.records import RunStatus
from container.storage.bucket import BucketClockError, BucketRefusedError, RunBucket, translated
from container.supervisor import verdict
from container.transport.r2 import make_client
from container.transport.signing_clock import sign_with_the_buckets_time
from tests.container.conftest import Launch, wait_for
from tests.container.skewed_store import SkewedStore, skewed_store

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0


def bucket_of(store: SkewedStore, told: list[float]) -> RunBucket:
    keys: Any = {"access_key_id": "a", "secret_access_key": "s"}
    client = make_client(endpoint=store.endpoint, **keys)
    sign_with_the_buckets_time(client, **keys, on_skew=told.append)
    return RunBucket(client, name="b", prefix="p")


@pytest.mark.parametrize("ahead_s", [16 * 60, -16 * 60, HOUR, -HOUR, DAY, -YEAR, 30 * YEAR])
def test_a_machine_whose_clock_is_off_signs_with_the_buckets_time(ahead_s: float) -> None:
    """https://github.com/boto/boto3/issues/1252: botocore alone is refused for ever."""
    told: list[float] = []
    with skewed_store(ahead_s) as store:
        bucket = bucket_of(store, told)
        bucket.put("one", b"1" * 100_000)
        assert bucket.head("one") == (100_000, {})
        assert bucket.get("one") == b"1" * 100_000
        assert bucket.get("absent") is None
    assert len(store.refused) == 1  # what was learned counts for all later requests
    assert told == [pytest.approx(ahead_s, abs=3)]


def test_it_is_learned_from_an_answer_without_a_code_too() -> None:
    with skewed_store(HOUR) as store:
        store.objects["/b/p/one"] = b"1"
        assert bucket_of(store, []).head("one") == (1, {})


@pytest.mark.parametrize("ahead_s", [0, 30, -30, 120, 14 * 60])
def test_a_clock_that_the_bucket_takes_is_told_and_not_meddled_with(ahead_s: float) -> None:
    told: list[float] = []
    with skewed_store(ahead_s) as store:
        bucket_of(store, told).put("one", b"1")
    assert store.refused == []
    assert told == ([pytest.approx(ahead_s, abs=3)] if abs(ahead_s) > 60 else [])


def test_a_clock_that_is_set_right_meanwhile_is_learned_anew() -> None:
    told: list[float] = []
    with skewed_store(HOUR) as store:
        bucket = bucket_of(store, told)
        bucket.put("one", b"1")
        store.ahead_s = 0.0
        bucket.put("two", b"2")
    assert [round(one / HOUR) for one in told] == [1, 0]


def test_threads_that_fail_together_all_get_through() -> None:
    with skewed_store(HOUR) as store:
        bucket = bucket_of(store, [])
        threads = [
            threading.Thread(target=bucket.put, args=(f"k{n}", b"x"), daemon=True)
            for n in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(store.objects) == 12


def test_a_time_that_no_correction_helps_is_the_clocks_error_and_no_tokens() -> None:
    with (
        skewed_store(HOUR, date_wrong_by_s=5 * HOUR) as store,
        pytest.raises(BucketClockError, match="this machine's clock is 240 min behind") as caught,
    ):
        bucket_of(store, []).put("one", b"1")
    assert "token" not in str(caught.value)
    assert len(store.refused) == 2


def test_a_refusal_after_the_correction_is_the_tokens_again() -> None:
    """The answer's date is still an hour away: what was signed with counts, not the clock."""
    with skewed_store(HOUR) as store:
        bucket = bucket_of(store, [])
        bucket.put("one", b"1")
        store.forbids = True
        for call in (lambda: bucket.head("one"), lambda: bucket.put("one", b"2")):
            with pytest.raises(BucketRefusedError, match="token") as caught:
                call()
            assert not isinstance(caught.value, BucketClockError)


@pytest.mark.parametrize("words", ["certificate is not yet valid", "certificate has expired"])
def test_a_certificate_that_is_not_valid_now_is_the_clocks_error(words: str) -> None:
    """Years off, there is no answer at all that could bear a date."""
    error = SSLError(endpoint_url="https://x", error=OSError(f"verify failed: {words} (_ssl.c)"))
    with pytest.raises(BucketClockError, match="at this machine's time"), translated("write", "k"):
        raise error


def test_a_run_on_such_a_machine_writes_its_records_with_the_right_time(
    launch: Launch, tmp_path: Path
) -> None:
    with skewed_store(DAY) as store:
        run = launch(R2_ENDPOINT=store.endpoint)
        wait_for(lambda: any("lease.json" in one for one in store.answered), what=lambda: run.log)
        beat = RunStatus.from_json(requests.get(f"{run.url}/status.json", timeout=5).content)
        assert beat.beat_at[:10] == f"{store.now():%Y-%m-%d}"
        assert "clock is 1,440 min ahead: what is signed and recorded is corrected" in run.log
        run.end()


def test_a_machine_that_cannot_sign_with_the_right_time_ends_its_run_and_says_so(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It idled for its whole rental, said "check the run's token", and counted as alive."""
    monkeypatch.setattr(verdict, "CLOCK_LONG_S", 0.1)
    monkeypatch.setattr(verdict, "STEADY_PAUSE_S", 0.05)
    with skewed_store(HOUR, date_wrong_by_s=5 * HOUR) as store:
        run = launch(R2_ENDPOINT=store.endpoint)
        wait_for(lambda: run.status().no_verdict, what=lambda: run.log)
        page = RunStatus.from_json(requests.get(f"{run.url}/status.json", timeout=5).content)
        assert "cannot sign with the right time" in page.no_verdict
        assert "this machine's clock is 240 min behind" in page.message
        assert "token" not in run.log
        assert run.end() == 0
    assert verdict.CLOCK_LONG_S < 60
    assert store.objects == {}


def test_the_end_comes_within_the_first_minute() -> None:
    class Minutes(Clock):
        passed_s = 0.0

        def monotonic(self) -> float:
            return self.passed_s

    clock, stop = Minutes(), threading.Event()

    def waits(seconds: float) -> bool:
        clock.passed_s += seconds
        return False

    stop.wait = waits  # type: ignore[method-assign,assignment]
    with skewed_store(HOUR, date_wrong_by_s=5 * HOUR) as store, pytest.raises(BucketClockError):
        bucket = bucket_of(store, [])
        verdict.first_answer(
            lambda: verdict.read_verdict(bucket), stop=stop, clock=clock, say=lambda _: None
        )
    assert clock.passed_s < 60
