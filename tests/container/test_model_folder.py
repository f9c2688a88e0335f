"""The finished models under stable names: there when a stage is done, hashed, never in the way."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from container.contract.clock import Clock
from container.contract.keys import MODEL_PREFIX, MODEL_README_KEY
from container.contract.records import Artifact
from container.storage import retry, server_copy
from container.storage.bucket import BucketError, RunBucket
from container.storage.model_folder import ModelFolder
from container.storage.upload_queue import UploadQueue
from localcloud.object_store.faults import FaultyStore
from tests.container.conftest import Launch, Running, bucket_at, wait_for
from tests.container.recipes import fake_recipe, file_stage, script, trainer_stage
from tests.container.s3_server import S3Server

PART = 5 * 2**20
FILES = {f"model/{name}" for name in ("made.txt", "base.pt", "base.json", "sft.pt", "sft.json")}


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "QUICK_PAUSES_S", (0.02,) * len(retry.QUICK_PAUSES_S))


@pytest.fixture
def store(s3: S3Server) -> Iterator[FaultyStore]:
    with FaultyStore(s3.endpoint) as proxy:
        yield proxy


def stored(bucket: RunBucket, key: str, body: bytes) -> Artifact:
    bucket.put(key, body)
    return Artifact(key=key, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest())


def hashes(run: Running) -> dict[str, str]:
    listed = run.manifest().artifacts
    return {one.key: one.sha256 for one in listed if one.key.startswith(MODEL_PREFIX)}


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 3 * PART])
def test_a_copy_is_the_same_whole_or_in_parts(bucket: RunBucket, size: int) -> None:
    body = os.urandom(size)
    source = stored(bucket, "checkpoints/base/d2/model_000006.pt", body)
    copied = server_copy.copy(bucket, source, "model/base.pt", part_bytes=PART)
    assert bucket.get("model/base.pt") == body
    assert copied == replace(source, key="model/base.pt")


def test_what_is_there_and_the_same_is_not_copied_anew(
    bucket: RunBucket, store: FaultyStore
) -> None:
    source = stored(bucket, "tokenizer/tokenizer.pkl", b"one")
    server_copy.copy(bucket, source, "model/tokenizer.pkl")
    watched = bucket_at(store.url, bucket.prefix)
    held = store.hold(lambda method, _: method == "PUT")
    server_copy.copy(watched, source, "model/tokenizer.pkl")
    assert not held.reached.is_set()
    held.released.set()
    other = stored(bucket, "tokenizer/tokenizer.pkl", b"two")
    server_copy.copy(watched, other, "model/tokenizer.pkl")
    assert bucket.get("model/tokenizer.pkl") == b"two", "of one size, and yet another"


def test_a_copy_in_parts_that_fails_leaves_nothing_that_bills(bucket: RunBucket) -> None:
    source = stored(bucket, "checkpoints/base/d2/model_000006.pt", os.urandom(PART + 1))
    gone = replace(source, key="checkpoints/base/d2/model_000007.pt")
    with pytest.raises(BucketError):
        server_copy.copy(bucket, gone, "model/base.pt", part_bytes=PART)
    assert bucket.abort_uploads() == []


def test_a_finished_run_has_its_models_under_stable_names_in_the_manifest(
    launch: Launch, bucket: RunBucket
) -> None:
    run = launch()
    assert run.verdict().reason == "all stages done"
    assert set(hashes(run)) == FILES | {MODEL_README_KEY}
    for key, digest in hashes(run).items():
        assert hashlib.sha256(bucket.get(key) or b"").hexdigest() == digest
    assert bucket.get("model/sft.pt") == bucket.get("checkpoints/sft/d2/model_000006.pt")
    readme = (bucket.get(MODEL_README_KEY) or b"").decode()
    assert 'cp "sft.pt" "$BASE/chatsft_checkpoints/d2/model_000006.pt"' in readme
    assert 'cp "sft.json" "$BASE/chatsft_checkpoints/d2/meta_000006.json"' in readme


def test_what_the_readme_says_puts_each_file_where_the_trainer_looks_for_it(
    launch: Launch, bucket: RunBucket, tmp_path: Path
) -> None:
    run = launch()
    run.verdict()
    here = tmp_path / "a folder"
    here.mkdir()
    for key in bucket.list(MODEL_PREFIX):
        (here / key.removeprefix(MODEL_PREFIX)).write_bytes(bucket.get(key) or b"")
    block = (here / "README.md").read_text().split("```")[1].strip().splitlines()
    assert block[-1].endswith("-i sft -g d2")
    typed = "\n".join(block[:-1]).replace("THIS_FOLDER", f"'{here}'")
    subprocess.run(["bash", "-ec", typed], env={"HOME": str(tmp_path / "home")}, check=True)
    base, work = tmp_path / "home/.cache/nanochat", tmp_path / "work"
    copied = [path.relative_to(base) for path in base.rglob("*") if path.is_file()]
    assert len(copied) == len(FILES)
    for path in copied:
        assert (base / path).read_bytes() == (work / path).read_bytes()


def test_a_model_that_is_paid_for_is_there_when_a_later_stage_fails(
    launch: Launch, bucket: RunBucket
) -> None:
    failing = trainer_stage("sft", argv=script("import sys; sys.exit(3)"), retries=0)
    run = launch(fake_recipe(trainer_stage(), failing))
    assert run.verdict().outcome == "failed"
    assert set(hashes(run)) == {"model/base.pt", "model/base.json", MODEL_README_KEY}
    assert bucket.get("model/base.pt") == bucket.get("checkpoints/base/d2/model_000006.pt")


def test_a_model_is_there_while_the_next_stage_still_trains(
    launch: Launch, bucket: RunBucket, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    waiting = trainer_stage("sft", flags=("--wait-at=1", f"--gate={gate}"))
    run = launch(fake_recipe(trainer_stage(), waiting))
    wait_for(lambda: bucket.get(MODEL_README_KEY), what=lambda: run.log)
    assert run.status().stage == "sft"
    gate.touch()
    assert run.verdict().outcome == "succeeded"


def test_a_container_that_starts_again_copies_nothing_that_is_there(
    launch: Launch, bucket: RunBucket
) -> None:
    sleeping = "import time; time.sleep(99)"
    stopping = file_stage("report", local="report", key="report", text=sleeping)
    first = launch(fake_recipe(trainer_stage(), stopping))
    wait_for(lambda: bucket.get(MODEL_README_KEY), what=lambda: first.log)
    first.end()
    before = written(bucket)
    ending = file_stage("report", local="report", key="report")
    second = launch(fake_recipe(trainer_stage(), ending), work="fresh")
    wait_for(lambda: second.supervisor.live_status.outcome == "succeeded", what=lambda: second.log)
    assert written(bucket) == before
    assert set(hashes(second)) == set(before), "and the manifest lists them all the same"


def written(bucket: RunBucket) -> dict[str, object]:
    """Return when each object of the folder was written."""
    full = bucket.full(MODEL_PREFIX)
    listed = bucket.client.list_objects_v2(Bucket=bucket.name, Prefix=full).get("Contents", [])
    cut = len(bucket.full(""))
    return {one.get("Key", "")[cut:]: one.get("LastModified") for one in listed}


def folder(bucket: RunBucket, said: list[str]) -> ModelFolder:
    return ModelFolder(
        bucket,
        upload_queue=UploadQueue(bucket, clock=Clock(), say=said.append),
        readme="\n".join,
        say=said.append,
        again_s=0.05,
    )


def test_a_bucket_that_copies_nothing_ends_no_run_and_is_told_and_tried_again(
    bucket: RunBucket, store: FaultyStore
) -> None:
    said: list[str] = []
    source = stored(bucket, "checkpoints/sft/d2/model_000006.pt", b"model")
    model = folder(bucket_at(store.url, bucket.prefix), said)
    store.faults.refused_share = 1.0
    model.want([source])
    wait_for(lambda: said)
    assert "training goes on, trying again" in said[0]
    assert model.finish(give_up=lambda: False) == [MODEL_README_KEY, "model/sft.pt"]
    assert len([text for text in said if "model/sft.pt" in text]) == 1, "once, not at each try"


def test_a_bucket_that_copies_again_gets_what_was_missing(
    bucket: RunBucket, store: FaultyStore
) -> None:
    said: list[str] = []
    source = stored(bucket, "checkpoints/sft/d2/model_000006.pt", b"model")
    model = folder(bucket_at(store.url, bucket.prefix), said)
    store.faults.refused_share = 1.0
    model.want([source])
    wait_for(lambda: said)
    store.faults.refused_share = 0.0
    wait_for(lambda: bucket.get(MODEL_README_KEY), what=lambda: "\n".join(said))
    assert model.finish(give_up=lambda: False) == []
    assert bucket.get("model/sft.pt") == b"model"


def test_a_run_whose_models_cannot_be_copied_succeeds_and_says_what_it_lacks(
    launch: Launch, bucket: RunBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise BucketError("cannot copy: HTTP 501 NotImplemented")

    monkeypatch.setattr(server_copy, "copy", refuses)
    run = launch(fake_recipe(trainer_stage()))
    verdict = run.verdict()
    assert verdict.outcome == "succeeded"
    assert verdict.reason == (
        "all stages done; could not be copied: model/README.md, model/base.json, model/base.pt"
    )
    assert "HTTP 501" in run.log
