"""A bucket that refuses, a disk that is full: uploads, the look at the past, the end of a run."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from container.contract.records import Artifact, Attempt, Manifest, Outcome, Verdict
from container.storage import retry
from container.storage.bucket import BucketUnavailableError, RunBucket
from container.storage.multipart import FileSender
from container.storage.resume import StageRecord, look
from container.supervisor.verdict import settle
from container.transport.r2 import MACHINE, make_client
from localcloud.object_store.faults import FaultyStore
from tests.container.conftest import BUCKET, Launch, bucket_at, wait_for
from tests.container.misbehaving_server import BROKEN, RESET, broken
from tests.container.recipes import fake_recipe, script, trainer_stage
from tests.container.s3_server import S3Server

PART = 5 * 2**20
VERDICT = Verdict(
    run="main",
    attempt=1,
    outcome="succeeded",
    stage="report",
    reason="",
    exit_code=0,
    started_at="",
    ended_at="",
    elapsed_s=1.0,
    dollars=0.0,
)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "QUICK_PAUSES_S", (0.02,) * len(retry.QUICK_PAUSES_S))


@pytest.fixture
def store(s3: S3Server) -> Iterator[FaultyStore]:
    with FaultyStore(s3.endpoint, seed=3) as proxy:
        yield proxy


@pytest.fixture
def refusing(store: FaultyStore, bucket: RunBucket) -> RunBucket:
    """The test's bucket, behind a proxy that refuses half of all requests."""
    store.faults.refused_share = 0.5
    return bucket_at(store.url, bucket.prefix)


def fill(bucket: RunBucket, *, attempts: int) -> None:
    for number in range(1, attempts + 1):
        attempt = Attempt(number=number, started_at="", host="h", reason="", point=f"base@{number}")
        bucket.put(f"attempts/{number}.json", attempt.to_json())
    bucket.put("stages/base.json", StageRecord(stage="base", done=True, attempt=1).to_json())


def close(bucket: RunBucket, verdict: Verdict = VERDICT, **known: Artifact) -> list[str]:
    said: list[str] = []
    deadline = time.monotonic() + 60
    ended = settle(
        bucket,
        verdict,
        known=known,
        may_write=lambda: True,
        give_up=lambda: time.monotonic() > deadline,
        say=said.append,
    )
    assert ended == verdict, said
    return said


def test_with_half_of_all_requests_refused_the_past_is_read(refusing: RunBucket, bucket: RunBucket):
    fill(bucket, attempts=12)
    found = look(refusing)
    assert found.attempt == 13
    assert found.done("base")


def test_with_half_of_all_requests_refused_the_run_ends_with_a_whole_manifest(
    refusing: RunBucket, bucket: RunBucket
):
    fill(bucket, attempts=12)
    close(refusing)
    manifest = Manifest.from_json(bucket.get("manifest.json") or b"")
    assert len(manifest.artifacts) == 13
    for artifact in manifest.artifacts:
        content = bucket.get(artifact.key) or b""
        assert hashlib.sha256(content).hexdigest() == artifact.sha256


def test_with_half_of_all_requests_refused_a_large_file_arrives(
    refusing: RunBucket, bucket: RunBucket, tmp_path: Path
):
    path = tmp_path / "optim.pt"
    path.write_bytes(os.urandom(4 * PART + 5))
    with ThreadPoolExecutor(4) as pool:
        sender = FileSender(refusing, pool=pool, most_parts=4, part_bytes=PART)
        sender.send(path, "optim.pt")
    assert bucket.get("optim.pt") == path.read_bytes()


def test_an_outage_is_said_within_seconds_and_not_waited_out(
    store: FaultyStore, refusing: RunBucket
):
    store.stop()
    with pytest.raises(BucketUnavailableError):
        look(refusing)


@pytest.mark.parametrize(("outcome", "left"), [("succeeded", 0), ("failed", 0), ("stopped", 1)])
def test_an_upload_that_nobody_completed_is_aborted_unless_the_run_can_go_on(
    bucket: RunBucket, outcome: Outcome, left: int
):
    key = bucket.full("checkpoints/base/d2/optim_000020_rank0.pt")
    bucket.client.create_multipart_upload(Bucket=BUCKET, Key=key)
    neighbour = f"{bucket.prefix}-other/optim.pt"
    bucket.client.create_multipart_upload(Bucket=BUCKET, Key=neighbour)
    close(bucket, replace(VERDICT, outcome=outcome))
    answer = bucket.client.list_multipart_uploads(Bucket=BUCKET, Prefix=bucket.prefix)
    keys = [one.get("Key") for one in answer.get("Uploads", [])]
    assert keys.count(key) == left
    assert keys.count(neighbour) == 1


def test_asked_to_stop_while_uploads_wait_the_run_leaves_its_verdict_and_them(
    launch: Launch, store: FaultyStore, bucket: RunBucket, tmp_path: Path
):
    """The vendor's five seconds were taken for Docker's ten: the verdict never came."""
    flags = ("--payload-bytes=12000000", "--wait-at=3", f"--gate={tmp_path / 'never'}")
    run = launch(fake_recipe(trainer_stage(flags=flags)), R2_ENDPOINT=store.url)
    wait_for(lambda: "stage started" in run.log)
    store.faults.bytes_per_s = 2**19
    wait_for(lambda: run.status().pending_bytes > PART, what=run.log)
    begin = time.monotonic()
    run.supervisor.request_stop()
    raw = wait_for(lambda: bucket.get("verdict.json"), what=run.log)
    assert time.monotonic() - begin < 7  # of them two to spare, for a busy machine
    assert (Verdict.from_json(raw).outcome, Verdict.from_json(raw).stage) == ("stopped", "base")
    store.faults.bytes_per_s = 0.0


def test_a_full_disk_is_named_in_the_verdict(launch: Launch):
    says = "OSError: [Errno 28] No space left on device"
    stage = replace(trainer_stage(), argv=script(f"exit({says!r})"), retries=0)
    verdict = launch(fake_recipe(stage)).verdict()
    assert verdict.reason == f"exit code 1; the disk is full: {says}"


def test_what_cannot_be_brought_back_onto_the_disk_ends_the_run_with_the_reason(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    """An exception of the supervisor would end the container, which is started again, and again."""
    gate = tmp_path / "gate"
    stages = fake_recipe().stages
    held = trainer_stage(flags=("--wait-at=3", f"--gate={gate}"))
    recipe = fake_recipe(*(held if one.name == "base" else one for one in stages))
    first = launch(recipe)
    wait_for(lambda: bucket.get("stages/tokenizer.json") and "step 00002" in first.log)
    first.supervisor._kill.set()  # as a lost lease: it ends without a verdict
    first.thread.join(20)
    bucket.delete("lease.json")
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh" / "tokenizer").touch()  # where a folder must be made
    verdict = launch(recipe, work="fresh", holder="two").verdict()
    assert (verdict.outcome, verdict.stage) == ("failed", "data")
    assert verdict.reason == "cannot write made.txt to the disk: File exists"


NOT_BROKEN_FOR_S3 = {"not found", "a part", "compressed, unasked", "no length, and cut"}
NOT_BROKEN_FOR_S3 |= {"somebody's login page", "bytes that are no text"}


@pytest.mark.parametrize("fault", sorted({*BROKEN, RESET} - NOT_BROKEN_FOR_S3))
def test_an_answer_that_is_no_http_means_try_again(fault: str) -> None:
    """A header that lacks, a length that is none: a KeyError ended the thread that asked."""
    once = replace(MACHINE, tries=1, connect_s=2.0, read_s=2.0)
    with broken(fault) as server:
        client = make_client(
            endpoint=server.url, access_key_id="a", secret_access_key="s", limits=once
        )
        bucket = RunBucket(client, name="b", prefix="p")
        for call in (lambda: bucket.put("k", b""), lambda: bucket.get("k")):
            with pytest.raises(BucketUnavailableError):
                call()
