"""The upload queue against a real S3 server: order, outages, resumed parts, bounded memory."""

from __future__ import annotations

import hashlib
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from container.contract.clock import Clock
from container.contract.records import Artifact
from container.storage.bucket import BucketError, RunBucket
from container.storage.multipart import FileChangedError, FileSender
from container.storage.upload_queue import CHECKPOINT, LOGS, RECORDS, Batch, UploadQueue
from localcloud.object_store.faults import FaultyStore
from tests.container.conftest import BUCKET, bucket_at, wait_for
from tests.container.s3_server import S3Server

PART = 5 * 2**20
Make = Callable[..., UploadQueue]


@pytest.fixture
def make_queue(bucket: RunBucket) -> Iterator[Make]:
    made: list[UploadQueue] = []

    def make(**changes: Any) -> UploadQueue:
        arguments: dict[str, Any] = {"clock": Clock(), "say": lambda _: None, "part_bytes": PART}
        upload_queue = UploadQueue(bucket, shortest_pause_s=0.05, **(arguments | changes))
        made.append(upload_queue)
        return upload_queue

    yield make
    for upload_queue in made:
        upload_queue.stop()


@pytest.fixture
def sender(bucket: RunBucket) -> Iterator[FileSender]:
    with ThreadPoolExecutor(4) as pool:
        yield FileSender(bucket, pool=pool, most_parts=4, part_bytes=PART)


def file(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def count_calls(bucket: RunBucket, operation: str) -> list[str]:
    calls: list[str] = []
    bucket.client.meta.events.register(
        f"before-call.s3.{operation}", lambda params, **_: calls.append(params["url_path"])
    )
    return calls


def test_a_large_file_arrives_whole_with_the_hash_taken_while_reading(
    sender: FileSender, bucket: RunBucket, tmp_path: Path
):
    path = file(tmp_path, "model.pt", 3 * PART + 17)
    artifact = sender.send(path, "model.pt")
    assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert bucket.get("model.pt") == path.read_bytes()


def test_parts_that_are_there_are_not_sent_again(
    sender: FileSender, bucket: RunBucket, tmp_path: Path
):
    path = file(tmp_path, "model.pt", 4 * PART + 5)
    full = bucket.full("model.pt")
    upload_id = bucket.client.create_multipart_upload(Bucket=BUCKET, Key=full)["UploadId"]
    content = path.read_bytes()
    for number in (1, 3):
        body = content[(number - 1) * PART : number * PART]
        bucket.client.upload_part(
            Bucket=BUCKET, Key=full, UploadId=upload_id, PartNumber=number, Body=body
        )
    calls = count_calls(bucket, "UploadPart")
    sender.send(path, "model.pt")
    assert len(calls) == 3
    assert bucket.get("model.pt") == content


def test_a_part_of_other_content_is_replaced(sender: FileSender, bucket: RunBucket, tmp_path: Path):
    path = file(tmp_path, "model.pt", 2 * PART)
    full = bucket.full("model.pt")
    upload_id = bucket.client.create_multipart_upload(Bucket=BUCKET, Key=full)["UploadId"]
    bucket.client.upload_part(
        Bucket=BUCKET, Key=full, UploadId=upload_id, PartNumber=1, Body=b"x" * PART
    )
    sender.send(path, "model.pt")
    assert bucket.get("model.pt") == path.read_bytes()


def test_what_the_bucket_answers_with_the_right_hash_is_not_asked_for_again(
    sender: FileSender, bucket: RunBucket, tmp_path: Path
):
    looks = count_calls(bucket, "HeadObject")
    sender.send(file(tmp_path, "small", 100), "small")
    sender.send(file(tmp_path, "large", 2 * PART + 1), "large")
    assert looks == []


def test_a_server_whose_etags_say_nothing_of_the_content_is_asked_for_the_size(
    sender: FileSender, bucket: RunBucket, tmp_path: Path
):
    """As R2 and S3 answer for objects that they encrypt with a customer's key."""

    def opaque(parsed: dict[str, Any], **_: object) -> None:
        parsed["ETag"] = '"opaque"'

    bucket.client.meta.events.register("after-call.s3.PutObject", opaque)
    bucket.client.meta.events.register("after-call.s3.CompleteMultipartUpload", opaque)
    looks = count_calls(bucket, "HeadObject")
    sender.send(file(tmp_path, "small", 100), "small")
    sender.send(file(tmp_path, "large", 2 * PART + 1), "large")
    assert len(looks) == 2


def test_bytes_that_changed_on_their_way_are_not_taken_for_the_file(
    sender: FileSender, bucket: RunBucket, tmp_path: Path
):
    def other(parsed: dict[str, Any], **_: object) -> None:
        parsed["ETag"] = f'"{"0" * 32}"'

    bucket.client.meta.events.register("after-call.s3.PutObject", other)
    with pytest.raises(BucketError, match="other bytes than were sent"):
        sender.send(file(tmp_path, "small", 100), "small")


def test_a_file_that_is_known_to_be_there_is_not_sent(
    sender: FileSender, bucket: RunBucket, tmp_path: Path
):
    path = file(tmp_path, "a.txt", 100)
    known = sender.send(path, "a.txt")
    calls = count_calls(bucket, "PutObject")
    assert sender.send(path, "a.txt", known=known) == known
    assert calls == []


def test_a_file_that_vanished_is_given_up_not_retried(sender: FileSender, tmp_path: Path):
    with pytest.raises(FileChangedError, match="vanished"):
        sender.send(tmp_path / "gone.pt", "gone.pt")


def test_memory_does_not_grow_with_the_file_nor_with_its_parts(sender: FileSender, tmp_path: Path):
    path = tmp_path / "huge.pt"
    with path.open("wb") as out:
        out.truncate(40 * PART)
    tracemalloc.start()
    try:
        sender.send(path, "huge.pt")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * PART  # four parts are under way


def test_a_part_whose_sending_was_cut_is_sent_again_from_its_beginning(
    s3: S3Server, tmp_path: Path
):
    """botocore goes back to the body's beginning; the hash of what was sent begins anew too."""
    with FaultyStore(s3.endpoint, seed=5) as store, ThreadPoolExecutor(4) as pool:
        bucket = bucket_at(store.url, f"cut-{tmp_path.name}")
        sender = FileSender(bucket, pool=pool, most_parts=4, part_bytes=PART)
        path = file(tmp_path, "model.pt", 3 * PART + 9)
        store.faults.refused_share = 0.4
        while True:
            try:
                artifact = sender.send(path, "model.pt")
                break
            except BucketError:
                continue
        store.faults.refused_share = 0.0
        assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert bucket.get("model.pt") == path.read_bytes()


def test_a_record_is_written_after_all_the_files_that_it_vouches_for(
    make_queue: Make, bucket: RunBucket, tmp_path: Path
):
    upload_queue = make_queue()
    seen: list[tuple[list[str], list[str]]] = []
    one = Batch(name="one", files=[(file(tmp_path, "1", 9), "k/1")], priority=LOGS)
    two = Batch(name="two", files=[(file(tmp_path, "2", 9), "k/2")], priority=CHECKPOINT)

    def finish(_: list[Artifact]) -> None:
        seen.append((sorted(bucket.list("k/")), [a.key for b in (one, two) for a in b.artifacts]))

    for batch in (one, two, Batch(name="r", priority=RECORDS, after=[one, two], finish=finish)):
        upload_queue.add(batch)
    upload_queue.start()
    assert upload_queue.wait_empty(20)
    assert seen == [(["k/1", "k/2"], ["k/1", "k/2"])]


def test_models_go_before_logs(make_queue: Make, bucket: RunBucket, tmp_path: Path):
    upload_queue = make_queue()
    calls = count_calls(bucket, "PutObject")
    for n in range(12):
        upload_queue.add(Batch(name=f"log{n}", files=[(file(tmp_path, f"l{n}", 9), f"logs/{n}")]))
    model = [(file(tmp_path, "model", 9), "model.pt")]
    upload_queue.add(Batch(name="model", files=model, priority=CHECKPOINT))
    upload_queue.start()
    assert upload_queue.wait_empty(20)
    assert any(path.endswith("model.pt") for path in calls[:4])


def test_while_the_server_is_away_nothing_is_lost_and_nobody_waits(
    make_queue: Make, bucket: RunBucket, s3: S3Server, tmp_path: Path
):
    said: list[str] = []
    upload_queue = make_queue(say=said.append)
    upload_queue.start()
    s3.stop()
    try:
        files = [(file(tmp_path, str(n), 1000), f"away/{n}") for n in range(5)]
        upload_queue.add(Batch(name="away", files=files))
        wait_for(lambda: upload_queue.failing_for_s() > 0)
        assert upload_queue.counters() == (0, 5000)
    finally:
        s3.start()
    assert upload_queue.wait_empty(60)
    assert upload_queue.counters() == (5000, 0)
    assert sorted(bucket.list("away/")) == [f"away/{n}" for n in range(5)]
    assert any("upload waits" in line for line in said)
    assert any("works again" in line for line in said)


def test_a_server_that_answers_503_half_of_the_time_gets_it_all_in_the_end(
    make_queue: Make, bucket: RunBucket, tmp_path: Path
):
    turn = {"n": 0}
    lock = threading.Lock()

    class Raw:
        def stream(self, **_: object):
            yield b"<Error><Code>SlowDown</Code></Error>"

    def answer(request: Any, **_: object) -> Any:
        with lock:
            turn["n"] += 1
            odd = turn["n"] % 2
        return AWSResponse(request.url, 503, HTTPHeaders(), Raw()) if odd else None

    bucket.client.meta.events.register("before-send.s3", answer)
    upload_queue = make_queue()
    upload_queue.start()
    paths = [file(tmp_path, str(n), 2 * PART + n) for n in range(2)]
    upload_queue.add(Batch(name="b", files=[(path, f"slow/{path.name}") for path in paths]))
    assert upload_queue.wait_empty(60)
    bucket.client.meta.events.unregister("before-send.s3", answer)
    assert [bucket.get(f"slow/{path.name}") for path in paths] == [p.read_bytes() for p in paths]


def test_nothing_is_written_while_the_lease_is_not_sure(
    make_queue: Make, bucket: RunBucket, tmp_path: Path
):
    sure = threading.Event()
    upload_queue = make_queue(may_write=sure.is_set)
    upload_queue.start()
    upload_queue.add(Batch(name="b", files=[(file(tmp_path, "x", 9), "x")]))
    assert not upload_queue.wait_empty(0.5)
    assert bucket.list() == {}
    sure.set()
    assert upload_queue.wait_empty(20)


def test_files_are_removed_only_when_asked_and_when_they_arrived(make_queue: Make, tmp_path: Path):
    keep, drop = file(tmp_path, "keep", 9), file(tmp_path, "drop", 9)
    upload_queue = make_queue()
    upload_queue.start()
    upload_queue.add(Batch(name="keep", files=[(keep, "keep")]))
    upload_queue.add(Batch(name="drop", files=[(drop, "drop")], remove_files=True))
    assert upload_queue.wait_empty(20)
    assert keep.exists()
    assert not drop.exists()


def test_a_followers_record_is_not_written_when_a_file_was_given_up(
    make_queue: Make, bucket: RunBucket, tmp_path: Path
):
    upload_queue = make_queue()
    upload_queue.start()
    gone = Batch(name="gone", files=[(tmp_path / "gone", "gone")])

    def mark(_: list[Artifact]) -> None:
        bucket.put("marker", b"")

    record = Batch(name="r", after=[gone], finish=mark)
    upload_queue.add(gone)
    upload_queue.add(record)
    assert upload_queue.wait_empty(20)
    assert record.dropped
    assert bucket.get("marker") is None


def test_errors_name_the_key_but_no_address_and_no_credential(bucket: RunBucket, s3: S3Server):
    s3.stop()
    try:
        with pytest.raises(BucketError) as caught:
            bucket.get("verdict.json")
    finally:
        s3.start()
    assert "verdict.json" in str(caught.value)
    assert s3.endpoint not in str(caught.value)
