"""A container that dies anywhere is started again and ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from container.contract.records import Manifest, Verdict
from container.storage.bucket import RunBucket
from tests import ROOT
from tests.container.conftest import BUCKET, TOKEN, wait_for
from tests.container.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

DRIVER = Path(__file__).with_name("crashing_supervisor.py")

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(bucket: RunBucket, s3: S3Server, tmp_path: Path):
    processes: list[subprocess.Popen[bytes]] = []

    def launch(die_at: int | str, when: str = "before", *, size: str = "small", work: str = "work"):
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "RUN_NAME": "main",
            "RUN_PREFIX": bucket.prefix,
            "RECIPE": "fake",
            "R2_ENDPOINT": s3.endpoint,
            "R2_BUCKET": BUCKET,
            "R2_ACCESS_KEY_ID": ACCESS_KEY,
            "R2_SECRET_ACCESS_KEY": SECRET_KEY,
            "ACCESS_TOKEN": TOKEN,
            "PRICE_USD_PER_HOUR": "3.6",
            "WORK_DIR": str(tmp_path / work),
        }
        log = (tmp_path / "log").open("ab")
        process = subprocess.Popen(
            [sys.executable, str(DRIVER), str(die_at), when, size],
            env=env,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        processes.append(process)
        return process

    yield launch
    for process in processes:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def dies(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it has killed itself."""
    wait_for(lambda: process.poll() is not None, timeout_s=120, what=log.read_text)
    assert process.returncode == -signal.SIGKILL, log.read_text()


def undisturbed() -> dict[str, str]:
    """Return the hash of each weight file, made by the trainer without any supervisor."""
    import tempfile

    trainer = Path(__file__).with_name("fake_trainer.py")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, str(trainer), f"--out={folder}/out/d2"],
            check=True,
            capture_output=True,
        )
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in Path(folder, "out", "d2").iterdir()
        }


LAST_STEP = "_000006"

# Two kinds of machine: the same container started again, and another one with an empty disk.
POINTS = [
    *((n, "before", "same") for n in (1, 4, 8, 14, 20, 27, 33, 39, 44, 50)),
    ("manifest.json:1", "after", "same"),
    ("verdict.json:1", "before", "empty"),
    ("complete_000004.json:1", "before", "empty"),
    *((n, "after", "empty") for n in (1, 3, 6, 11, 17, 23, 30, 36, 42, 48)),
]


@pytest.mark.parametrize(("call", "when", "disk"), POINTS)
def test_killed_at_any_write_the_run_still_ends_with_the_same_weights(
    start: Start, bucket: RunBucket, tmp_path: Path, call: int | str, when: str, disk: str
):
    dies(start(call, when), tmp_path / "log")
    second = start(0, work="work" if disk == "same" else "fresh")
    log = (tmp_path / "log").read_text
    raw = wait_for(lambda: bucket.get("verdict.json"), timeout_s=120, what=log)
    assert Verdict.from_json(raw).outcome == "succeeded", log()
    assert second.poll() is None, log()
    manifest = Manifest.from_json(bucket.get("manifest.json") or b"")
    by_key = {artifact.key: artifact for artifact in manifest.artifacts}
    for key, artifact in by_key.items():
        assert hashlib.sha256(bucket.get(key) or b"").hexdigest() == artifact.sha256, key
    for name, digest in undisturbed().items():
        for stage in ("base", "sft"):
            found = by_key.get(f"checkpoints/{stage}/d2/{name}")
            # An earlier step may be missing: it was under way when a later one was complete, the
            # machine died with its disk, and the run went on from the later one.
            if found is None and LAST_STEP not in name:
                continue
            assert found is not None, (stage, name)
            assert found.sha256 == digest, (stage, name)


def test_killed_in_the_middle_of_a_multipart_upload_the_next_start_completes_it(
    start: Start, bucket: RunBucket, tmp_path: Path
):
    dies(start("UploadPart:2", "after", size="big"), tmp_path / "log")
    uploads = bucket.client.list_multipart_uploads(Bucket=BUCKET, Prefix=bucket.full(""))
    assert uploads.get("Uploads"), "it died while a multipart upload was under way"
    start(0, size="big")
    raw = wait_for(
        lambda: bucket.get("verdict.json"), timeout_s=120, what=(tmp_path / "log").read_text
    )
    assert Verdict.from_json(raw).outcome == "succeeded", (tmp_path / "log").read_text()
    uploads = bucket.client.list_multipart_uploads(Bucket=BUCKET, Prefix=bucket.full(""))
    assert not uploads.get("Uploads")
