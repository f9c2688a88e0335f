"""How many parts are on their way at once, and in which order; on a line that is slow or broken."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from container.contract.clock import Clock
from container.storage import part_limiter
from container.storage.part_limiter import PartLimiter, at_once
from container.storage.upload_queue import CHECKPOINT, Batch, UploadQueue
from localcloud.object_store.faults import FaultyStore
from tests.container.conftest import bucket_at, wait_for
from tests.container.s3_server import S3Server

MIB = 2**20


@pytest.mark.parametrize(
    ("mib_per_s", "expected"),
    [(0.0, 1), (0.3, 1), (0.8, 1), (1.0, 2), (4.0, 5), (8.0, 10), (1000.0, 10)],
)
def test_a_line_gets_as_many_parts_as_it_carries_in_twenty_seconds(
    mib_per_s: float, expected: int
) -> None:
    assert at_once(mib_per_s * MIB, part_bytes=16 * MIB, most=10) == expected


def arrive(one: PartLimiter, *, mib_per_s: float, times: int = 1) -> None:
    for _ in range(times):
        one.acquire((0, 0))
        one.arrived(16 * MIB, took_s=16 / mib_per_s)
        one.release()


def test_with_each_part_that_arrives_in_time_one_more_may_go() -> None:
    one = PartLimiter(most=4, part_bytes=16 * MIB)
    seen = [one.limit]
    for _ in range(5):
        arrive(one, mib_per_s=100)
        seen.append(one.limit)
    assert seen == [1, 2, 3, 4, 4, 4]


def test_a_slow_line_carries_one_part_at_a_time() -> None:
    one = PartLimiter(most=10, part_bytes=16 * MIB)
    arrive(one, mib_per_s=0.2, times=5)
    assert one.limit == 1


def test_a_line_that_became_slow_is_noticed_within_few_parts() -> None:
    one = PartLimiter(most=10, part_bytes=16 * MIB)
    arrive(one, mib_per_s=100, times=20)
    assert one.limit == 10
    arrive(one, mib_per_s=0.4, times=2)
    assert one.limit < 4


def test_each_part_that_fails_halves_what_is_on_its_way_but_one_may_always_go() -> None:
    one = PartLimiter(most=10, part_bytes=16 * MIB)
    arrive(one, mib_per_s=100, times=20)
    seen: list[int] = []
    for _ in range(4):
        one.failed()
        seen.append(one.limit)
    assert seen == [5, 2, 1, 1]
    arrive(one, mib_per_s=100)
    assert one.limit == 2


def test_who_was_queued_first_goes_first_whoever_asked_first() -> None:
    one = PartLimiter(most=10, part_bytes=16 * MIB)
    one.acquire((0, 0))
    went: list[int] = []

    def go(number: int) -> None:
        one.acquire((1, number))
        went.append(number)
        one.release()

    threads: list[threading.Thread] = []
    for number in (3, 1, 2):
        threads.append(threading.Thread(target=go, args=(number,)))
        threads[-1].start()
        wait_for(lambda: len(one._waiting) == len(threads))
    one.release()
    for thread in threads:
        thread.join(10)
    assert went == [1, 2, 3]


def test_on_a_slow_line_the_first_checkpoint_arrives_first_and_no_part_goes_twice(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten parts shared the line: none arrived before its time limit, and all were sent again."""
    monkeypatch.setattr(part_limiter, "PART_S", 1.0)
    part = 5 * MIB
    with FaultyStore(s3.endpoint) as store:
        store.faults.bytes_per_s = 4 * MIB
        bucket = bucket_at(store.url, f"slow-{tmp_path.name}")
        sent: list[str] = []
        bucket.client.meta.events.register(
            "before-send.s3.UploadPart", lambda request, **_: sent.append(request.url)
        )
        upload_queue = UploadQueue(bucket, clock=Clock(), say=lambda _: None, part_bytes=part)
        arrived: list[tuple[int, int]] = []
        for step in range(3):
            path = tmp_path / f"{step}.pt"
            path.write_bytes(os.urandom(part + MIB))
            upload_queue.add(
                Batch(
                    name=str(step),
                    files=[(path, path.name)],
                    priority=CHECKPOINT,
                    finish=lambda _, step=step: arrived.append((step, len(sent))),
                )
            )
        upload_queue.start()
        try:
            assert upload_queue.wait_empty(60)
        finally:
            upload_queue.stop()
    assert [step for step, _ in arrived] == [0, 1, 2]
    assert len(sent) == 6
    # While the first was on its way hardly anything else was.
    assert arrived[0][1] <= 4
