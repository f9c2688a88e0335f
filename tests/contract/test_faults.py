"""The proxy of planted faults, before a real S3 server."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator

import pytest

from container.storage.bucket import BucketUnavailableError, RunBucket
from container.transport.r2 import make_client
from localcloud.object_store.faults import FaultyStore
from tests.container.s3_server import ACCESS_KEY, SECRET_KEY, S3Server, s3_server

MIB = 2**20
_numbers = itertools.count()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        server.client().create_bucket(Bucket="faults")
        yield server


@pytest.fixture
def store(s3: S3Server) -> Iterator[FaultyStore]:
    with FaultyStore(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def bucket(store: FaultyStore) -> RunBucket:
    client = make_client(endpoint=store.url, access_key_id=ACCESS_KEY, secret_access_key=SECRET_KEY)
    return RunBucket(client, name="faults", prefix=f"run-{next(_numbers)}")


def test_without_faults_a_signed_request_and_its_answer_pass_unchanged(bucket: RunBucket):
    body = os.urandom(3 * MIB)
    bucket.put("odd name+%/ü.bin", body, metadata={"sha256": "abc"})
    assert bucket.get("odd name+%/ü.bin") == body
    assert bucket.head("odd name+%/ü.bin") == (3 * MIB, {"sha256": "abc"})
    assert bucket.list() == {"odd name+%/ü.bin": 3 * MIB}
    bucket.delete("odd name+%/ü.bin")
    assert bucket.get("odd name+%/ü.bin") is None


def test_a_slow_line_takes_as_long_as_its_rate_says_both_ways(
    store: FaultyStore, bucket: RunBucket
):
    store.faults.bytes_per_s = 4 * MIB
    begin = time.monotonic()
    bucket.put("a", os.urandom(2 * MIB))
    middle = time.monotonic()
    bucket.get("a")
    assert middle - begin >= 0.45  # at least: whatever the machine is busy with
    assert time.monotonic() - middle >= 0.45


def test_a_refused_request_answers_503_and_does_not_arrive(store: FaultyStore, bucket: RunBucket):
    store.faults.refused_share = 1.0
    with pytest.raises(BucketUnavailableError, match="503 SlowDown"):
        bucket.put("refused", b"x")
    store.faults.refused_share = 0.0
    assert bucket.get("refused") is None


def test_a_held_request_waits_until_it_is_released(store: FaultyStore, bucket: RunBucket):
    hold = store.hold(lambda method, path: method == "PUT" and path.endswith("verdict.json"))
    put = threading.Thread(target=lambda: bucket.put("verdict.json", b"{}"))
    put.start()
    assert hold.reached.wait(10)
    assert bucket.get("verdict.json") is None
    hold.released.set()
    put.join(10)
    assert bucket.get("verdict.json") == b"{}"


def test_an_outage_is_over_on_the_same_port(store: FaultyStore, bucket: RunBucket):
    url = store.url
    store.stop()
    with pytest.raises(BucketUnavailableError):
        bucket.put("k", b"x")
    store.start()
    assert store.url == url
    bucket.put("k", b"x")
