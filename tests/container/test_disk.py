"""A disk that is full or short: the log may suffer, the run may not."""

from __future__ import annotations

import io
import os
import shutil
from collections import namedtuple
from decimal import Decimal
from pathlib import Path

import pytest

from container.contract.clock import Clock
from container.contract.recipe import Upload
from container.storage.bucket import RunBucket
from container.storage.checkpoint_uploader import CheckpointUploader
from container.storage.upload_queue import Batch, UploadQueue
from container.telemetry.run_log import RunLog
from container.telemetry.run_status import LiveStatus
from tests.container.test_decisions import write_step

Usage = namedtuple("Usage", ("total", "used", "free"))


def checkpoint_uploader(folder: Path, bucket: RunBucket, said: list[str]) -> CheckpointUploader:
    upload_queue = UploadQueue(
        bucket, clock=Clock(), say=said.append
    )  # not started: nothing arrives
    return CheckpointUploader(
        stage="base",
        folder=folder,
        key="checkpoints/base",
        upload=Upload(local="base_checkpoints", key="checkpoints/base", kind="checkpoint"),
        bucket=bucket,
        upload_queue=upload_queue,
        world_size=2,
        attempt=1,
        say=said.append,
    )


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "d2").glob("model_*"))


def test_a_log_that_cannot_be_kept_costs_the_log_and_is_said_once(
    bucket: RunBucket, tmp_path: Path
):
    live_status = LiveStatus(run="m", recipe="r", price_usd_per_hour=Decimal(1), clock=Clock())
    out = io.StringIO()
    (tmp_path / "not-a-folder").touch()
    run_log = RunLog(
        folder=tmp_path / "not-a-folder", live_status=live_status, clock=Clock(), out=out
    )
    run_log.begin(attempt=1, upload_queue=UploadQueue(bucket, clock=Clock(), say=lambda _: None))
    run_log.line("base", "one")
    run_log.line("base", "two")
    run_log.cut()
    assert out.getvalue().count("cannot keep the log on disk") == 1
    assert out.getvalue().endswith("two\n")


def test_while_there_is_room_a_step_stays_until_it_is_uploaded(bucket: RunBucket, tmp_path: Path):
    said: list[str] = []
    one = checkpoint_uploader(tmp_path, bucket, said)
    for step in (100, 200):
        write_step(tmp_path / "d2", step)
    one.look(nobody_writes=True)
    one.look(nobody_writes=True)
    assert steps(tmp_path) == ["model_000100.pt", "model_000200.pt"]


def test_when_the_disk_is_short_a_superseded_step_goes_and_that_is_said(
    bucket: RunBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    one = checkpoint_uploader(tmp_path, bucket, said)
    for step in (100, 200):
        write_step(tmp_path / "d2", step)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000, 1000, 0))
    one.look(nobody_writes=True)
    assert steps(tmp_path) == ["model_000200.pt"]
    assert any("removed before it was uploaded; step 200 supersedes it" in line for line in said)


def test_a_step_that_is_still_being_written_is_not_taken(bucket: RunBucket, tmp_path: Path):
    said: list[str] = []
    one = checkpoint_uploader(tmp_path, bucket, said)
    write_step(tmp_path / "d2", 100)
    one.look()
    assert one.newest_batch() is None
    write_step(tmp_path / "d2", 100, ranks=2)  # saved again in between: other times
    one.look()
    assert one.newest_batch() is None
    one.look()
    assert one.newest_batch() is not None


def test_on_a_short_disk_the_step_that_is_on_its_way_goes_last(
    bucket: RunBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The oldest was nearest to the bucket and went first: behind a slow line none ever arrived."""
    one = checkpoint_uploader(tmp_path, bucket, [])
    for step in (100, 200, 300):
        write_step(tmp_path / "d2", step)
    one.look(nobody_writes=True)
    on_its_way = one.batches["d2", 100]
    assert on_its_way is not None
    on_its_way.after[0].begun = True
    frees = iter([0, 10**9])  # one step less is enough
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, next(frees)))
    one.look(nobody_writes=True)
    assert steps(tmp_path) == ["model_000100.pt", "model_000300.pt"]


def test_a_removed_step_takes_no_room_although_an_upload_has_it_open(
    bucket: RunBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one = checkpoint_uploader(tmp_path, bucket, [])
    for step in (100, 200):
        write_step(tmp_path / "d2", step)
    with (tmp_path / "d2" / "model_000100.pt").open("rb") as reader:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000, 1000, 0))
        one.look(nobody_writes=True)
        assert steps(tmp_path) == ["model_000200.pt"]
        assert os.fstat(reader.fileno()).st_size == 0


def test_a_stage_is_recorded_although_an_earlier_step_went_unsent(
    bucket: RunBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without its record a stage that is done is entered again by the next machine."""
    said: list[str] = []
    one = checkpoint_uploader(tmp_path, bucket, said)
    for step in (100, 200):
        write_step(tmp_path / "d2", step)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000, 1000, 0))
    one.look(nobody_writes=True)
    newest = one.newest_batch()
    assert newest is not None
    recorded: list[bool] = []
    record = Batch(name="record", after=[newest], finish=lambda _: recorded.append(True))
    one.upload_queue.add(record)
    one.upload_queue.start()
    try:
        assert one.upload_queue.wait_empty(20), said
    finally:
        one.upload_queue.stop()
    assert recorded == [True]
    assert bucket.get("checkpoints/base/d2/complete_000200.json")
    assert bucket.get("checkpoints/base/d2/complete_000100.json") is None


def test_what_was_logged_is_on_disk_before_its_segment_is_cut(bucket: RunBucket, tmp_path: Path):
    """A killed container lost up to 8 kB that stood in a buffer."""
    live_status = LiveStatus(run="m", recipe="r", price_usd_per_hour=Decimal(1), clock=Clock())
    run_log = RunLog(folder=tmp_path, live_status=live_status, clock=Clock(), out=io.StringIO())
    run_log.begin(attempt=1, upload_queue=UploadQueue(bucket, clock=Clock(), say=lambda _: None))
    run_log.line("base", "the last words")
    (segment,) = (tmp_path / "logs").iterdir()
    assert segment.read_text() == "the last words\n"
