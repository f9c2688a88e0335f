"""A disk that is full or short: the log may suffer, the run may not."""

from __future__ import annotations

import io
import shutil
from collections import namedtuple
from decimal import Decimal
from pathlib import Path

import pytest

from container.board import Board
from container.bucket import Bucket
from container.clock import Clock
from container.journal import Journal
from container.recipe import Upload
from container.shipping import CheckpointShipper
from container.upload import Uploader
from tests.container.test_decisions import write_step

Usage = namedtuple("Usage", ("total", "used", "free"))


def shipper(folder: Path, bucket: Bucket, said: list[str]) -> CheckpointShipper:
    uploader = Uploader(bucket, clock=Clock(), say=said.append)  # not started: nothing arrives
    return CheckpointShipper(
        stage="base",
        folder=folder,
        key="checkpoints/base",
        upload=Upload(local="base_checkpoints", key="checkpoints/base", kind="checkpoint"),
        bucket=bucket,
        uploader=uploader,
        world_size=2,
        attempt=1,
        say=said.append,
    )


def steps(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "d2").glob("model_*"))


def test_a_log_that_cannot_be_kept_costs_the_log_and_is_said_once(bucket: Bucket, tmp_path: Path):
    board = Board(run="m", recipe="r", price_usd_per_hour=Decimal(1), clock=Clock())
    out = io.StringIO()
    (tmp_path / "not-a-folder").touch()
    journal = Journal(folder=tmp_path / "not-a-folder", board=board, clock=Clock(), out=out)
    journal.begin(attempt=1, uploader=Uploader(bucket, clock=Clock(), say=lambda _: None))
    journal.line("base", "one")
    journal.line("base", "two")
    journal.cut()
    assert out.getvalue().count("cannot keep the log on disk") == 1
    assert out.getvalue().endswith("two\n")


def test_while_there_is_room_a_step_stays_until_it_is_uploaded(bucket: Bucket, tmp_path: Path):
    said: list[str] = []
    one = shipper(tmp_path, bucket, said)
    for step in (100, 200):
        write_step(tmp_path / "d2", step)
    one.look(nobody_writes=True)
    one.look(nobody_writes=True)
    assert steps(tmp_path) == ["model_000100.pt", "model_000200.pt"]


def test_when_the_disk_is_short_a_superseded_step_goes_and_that_is_said(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    one = shipper(tmp_path, bucket, said)
    for step in (100, 200):
        write_step(tmp_path / "d2", step)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1000, 1000, 0))
    one.look(nobody_writes=True)
    assert steps(tmp_path) == ["model_000200.pt"]
    assert any("removed before it was uploaded; step 200 supersedes it" in line for line in said)


def test_a_step_that_is_still_being_written_is_not_taken(bucket: Bucket, tmp_path: Path):
    said: list[str] = []
    one = shipper(tmp_path, bucket, said)
    write_step(tmp_path / "d2", 100)
    one.look()
    assert not one.batches()
    write_step(tmp_path / "d2", 100, ranks=2)  # saved again in between: other times
    one.look()
    assert not one.batches()
    one.look()
    assert len(one.batches()) == 1
