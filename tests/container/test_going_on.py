"""What does not end a run: a source away, a token that works late, a stop, a lost answer."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ConnectionClosedError

from container.contract.clock import Clock
from container.contract.records import Artifact, Attempt, Manifest, Outcome, Verdict
from container.storage.bucket import BucketUnavailableError, RunBucket
from container.storage.download import fetch
from container.storage.multipart import FileSender
from container.storage.resume import PastAttempts, StageRecord, look
from container.storage.upload_queue import Batch, UploadQueue
from container.supervisor import verdict
from container.supervisor.verdict import settle
from localcloud.object_store.faults import FaultyStore
from tests.container.conftest import Launch, bucket_at, wait_for
from tests.container.recipes import fake_recipe, file_stage, trainer_stage
from tests.container.s3_server import S3Server
from tests.container.test_busy_bucket import VERDICT

MIB = 2**20
PART = 5 * MIB


def test_what_could_not_be_fetched_beside_training_is_fetched_when_it_is_needed(
    launch: Launch, tmp_path: Path
):
    """The hub was away in the first minute; the run failed after hours of training."""
    text = (
        "import os, pathlib\n"
        f"if not os.path.exists({str(tmp_path / 'hub')!r}): exit('the hub does not answer')\n"
        "os.makedirs('conversations'); pathlib.Path('conversations/x').touch()"
    )
    data = file_stage("sft_data", local="conversations", key="", text=text)
    data = replace(data, needed_by="sft", retries=0)
    gate = tmp_path / "gate"
    base = trainer_stage(flags=("--wait-at=3", f"--gate={gate}"))
    run = launch(fake_recipe(data, base, trainer_stage("sft")))
    wait_for(lambda: "sft_data failed" in run.status().message, what=lambda: run.log)
    (tmp_path / "hub").touch()
    gate.touch()
    assert run.verdict().outcome == "succeeded", run.log
    assert "once more: it is needed now" in run.log


def test_what_cannot_be_fetched_when_it_is_needed_ends_the_run(launch: Launch):
    data = file_stage("sft_data", local="x", key="", text="exit('the hub does not answer')")
    data = replace(data, needed_by="sft", retries=0)
    verdict = launch(fake_recipe(data, trainer_stage(), trainer_stage("sft"))).verdict()
    assert (verdict.outcome, verdict.stage) == ("failed", "sft_data")


def test_a_failed_run_leaves_no_download_running(launch: Launch, tmp_path: Path):
    text = "import os, time; print(os.getpid(), file=open('pid', 'w'), flush=True); time.sleep(600)"
    endless = file_stage("data", local="x", key="", text=text)
    begun = "import os, time\nwhile not os.path.exists('pid'): time.sleep(0.02)\nexit(1)"
    bad = file_stage("tokenizer", local="t", key="", text=begun, retries=0)
    run = launch(fake_recipe(replace(endless, needed_by="base"), bad, trainer_stage()))
    assert run.verdict().stage == "tokenizer"
    pid = int((tmp_path / "work" / "pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_a_token_that_is_refused_for_long_and_then_works_lets_the_run_begin(
    launch: Launch, s3: S3Server, monkeypatch: pytest.MonkeyPatch
):
    """It was asked with for two minutes; then the machine idled until its hours were over."""
    monkeypatch.setattr(verdict, "REFUSED_LONG_S", 0.1)
    monkeypatch.setattr(verdict, "REFUSED_PAUSE_S", 0.1)
    with FaultyStore(s3.endpoint) as store:
        store.faults.refused_share, store.faults.refused_with = 1.0, 403
        run = launch(R2_ENDPOINT=store.url)
        wait_for(lambda: "refused, asking again" in run.status().message, what=lambda: run.log)
        store.faults.refused_share = 0.0
        assert run.verdict().outcome == "succeeded", run.log


def test_a_run_that_was_stopped_goes_on_when_its_container_is_started_again(
    launch: Launch, bucket: RunBucket, tmp_path: Path
):
    """Platforms restart containers; on a verdict `stopped` the machine billed and did nothing."""
    gate = tmp_path / "gate"
    recipe = fake_recipe(trainer_stage(flags=("--wait-at=5", f"--gate={gate}")))
    first = launch(recipe)
    wait_for(lambda: bucket.get("checkpoints/base/d2/complete_000004.json"), what=first.log)
    assert first.end() == 0
    assert Verdict.from_json(bucket.get("verdict.json") or b"").outcome == "stopped"
    gate.touch()
    second = launch(recipe)
    assert wait_for(
        lambda: second.supervisor.live_status.outcome == "succeeded", what=lambda: second.log
    )
    assert "goes on from step 4" in second.log
    assert Verdict.from_json(bucket.get("verdicts/1-stopped.json") or b"").outcome == "stopped"
    assert Verdict.from_json(bucket.get("verdict.json") or b"").outcome == "succeeded"


@pytest.mark.parametrize(("outcome", "asked"), [("stopped", 0), ("succeeded", 20)])
def test_a_stopped_run_asks_for_no_hash_of_earlier_attempts(
    bucket: RunBucket, outcome: Outcome, asked: int
):
    """Thousands of log segments took longer than the platform leaves: there was no verdict."""
    for number in range(20):
        bucket.put(f"logs/1-base-{number:05d}.log", b"x")
    heads: list[str] = []
    bucket.client.meta.events.register(
        "before-call.s3.HeadObject", lambda params, **_: heads.append(params["url_path"])
    )
    verdict = replace(VERDICT, attempt=2, outcome=outcome)
    settled = settle(
        bucket,
        verdict,
        known={},
        may_write=lambda: True,
        give_up=lambda: False,
        say=lambda _: None,
    )
    assert settled == verdict
    assert len(heads) == asked
    manifest = Manifest.from_json(bucket.get("manifest.json") or b"")
    assert len(manifest.artifacts) == asked


def test_fetching_a_checkpoint_ends_when_the_run_is_stopped(bucket: RunBucket, tmp_path: Path):
    bucket.put("big", b"x" * 1000)
    wanted = [(Artifact(key="big", size_bytes=1000, sha256=""), tmp_path / "big")]
    with pytest.raises(BucketUnavailableError, match="given up"):
        fetch(bucket, wanted, say=lambda _: None, give_up=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_whose_download_is_cut_goes_on_where_it_was(s3: S3Server, tmp_path: Path):
    """It was fetched again from its first byte, 20 GB of it, on a machine that bills."""
    content = os.urandom(12 * MIB)
    with FaultyStore(s3.endpoint) as store, ThreadPoolExecutor(1) as pool:
        bucket = bucket_at(store.url, f"cut-{tmp_path.name}")
        bucket.put("optim.pt", content)
        ranges: list[str] = []
        bucket.client.meta.events.register(
            "before-send.s3.GetObject",
            lambda request, **_: ranges.append(request.headers.get("Range", b"").decode()),
        )
        store.faults.bytes_per_s = 4 * MIB
        digest = hashlib.sha256(content).hexdigest()
        wanted = Artifact(key="optim.pt", size_bytes=len(content), sha256=digest)
        part = tmp_path / "optim.pt.download"
        bad = pool.submit(fetch, bucket, [(wanted, tmp_path / "optim.pt")], say=print)
        wait_for(lambda: part.exists() and part.stat().st_size >= 2 * MIB)
        store.stop()
        store.faults.bytes_per_s = 0.0
        store.start()
        assert bad.result(60) == []
    assert (tmp_path / "optim.pt").read_bytes() == content
    assert ranges[0] == ""
    assert int(ranges[-1].removeprefix("bytes=").rstrip("-")) >= 2 * MIB


def test_a_mistake_in_the_uploader_is_said_and_does_not_keep_the_run_from_its_end(
    bucket: RunBucket, tmp_path: Path
):
    """The thread died, and the flush waited for it until the hours were over."""
    said: list[str] = []
    upload_queue = UploadQueue(bucket, clock=Clock(), say=said.append)
    upload_queue.start()

    def fails(_: list[Artifact]) -> None:
        raise TypeError("nobody foresaw this")

    (tmp_path / "x").write_bytes(b"x")
    bad = Batch(name="bad", files=[(tmp_path / "x", "x")], finish=fails)
    follower = Batch(name="its record", after=[bad], finish=lambda _: None)
    good = Batch(name="good", files=[(tmp_path / "x", "y")])
    for batch in (bad, follower, good):
        upload_queue.add(batch)
    try:
        assert upload_queue.wait_empty(20)
    finally:
        upload_queue.stop()
    assert "upload of bad given up: TypeError in the uploader" in said
    assert "its record is left out: TypeError in the uploader" in said
    assert bucket.get("y") == b"x"


def test_a_file_whose_last_answer_was_lost_is_not_sent_once_more(
    bucket: RunBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "model.pt"
    path.write_bytes(b"m" * (2 * PART + 7))
    sent: list[str] = []
    bucket.client.meta.events.register(
        "before-call.s3.UploadPart", lambda params, **_: sent.append(params["url_path"])
    )
    complete, calls = bucket.client.complete_multipart_upload, iter([1])

    def lossy(**call: object) -> object:
        answer = complete(**call)  # pyright: ignore[reportArgumentType]
        if next(calls, None):
            raise ConnectionClosedError(endpoint_url="")
        return answer

    monkeypatch.setattr(bucket.client, "complete_multipart_upload", lossy)
    with ThreadPoolExecutor(4) as pool:
        sender = FileSender(bucket, pool=pool, most_parts=4, part_bytes=PART)
        sender.send(path, "model.pt")
    assert len(sent) == 3
    assert bucket.get("model.pt") == path.read_bytes()


def test_a_start_that_ended_while_it_verified_keeps_its_log(bucket: RunBucket):
    """The next one had the same number and wrote over it."""
    bucket.put("attempts/1.json", _attempt(1))
    bucket.put("logs/2-verify-00000.log", b"what it saw")
    assert look(bucket).attempt == 3


def test_a_stage_that_the_run_can_do_without_is_no_point_to_get_beyond(bucket: RunBucket):
    """It leaves no record when it fails: three lost machines later the run was given up."""
    shaky = replace(file_stage("eval", local="e", key="e"), optional=True)
    recipe = fake_recipe(trainer_stage(), shaky, trainer_stage("sft"))
    past = PastAttempts(
        attempt=2,
        earlier_s=0.0,
        run=None,
        stages={},
        markers={},
        artifacts=(),
        points=(),
        notes=(),
    )
    assert past.point(recipe) == "base@0"
    after = replace(past, stages={"base": _done("base")})
    assert after.point(recipe) == "sft@0"


def _attempt(number: int) -> bytes:
    return Attempt(number=number, started_at="", host="h", reason="", point="x").to_json()


def _done(stage: str) -> StageRecord:
    return StageRecord(stage=stage, done=True, attempt=1)
