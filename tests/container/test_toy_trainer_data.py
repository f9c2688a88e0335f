"""The rehearsal's downloads, documents, log lines and report: all that needs no torch."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from container.telemetry.nanochat_log import Evaluation, TrainingStep, parse_line
from container.toy_trainer import dataset, documents, layout, loglines, report
from container.toy_trainer.loglines import StepFacts
from tests.container.mirror_double import Mirror, manifest, serving, shard

TALK = [
    [{"role": "user", "content": f"What is {n}?"}, {"role": "assistant", "content": str(n)}]
    for n in range(20)
]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "nanochat"))
    return tmp_path / "nanochat"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    files = {f"shard_{i:05d}.jsonl.gz": shard([f"Text {i}. " * 500]) for i in range(4)}
    files["manifest.json"] = manifest(files)
    files["conversations.jsonl"] = "".join(f"{json.dumps(c)}\n" for c in TALK).encode()
    with serving(Mirror(files)) as served:
        yield served


def download(mirror: Mirror, *arguments: str) -> int:
    return dataset.main(["--mirror", mirror.url, *arguments])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "FIRST_PAUSE_S", 0.0)


def test_a_download_brings_the_asked_shards_and_the_last_one_to_validate(
    base: Path, mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    assert download(mirror, "-n", "2") == 0
    names = [file.name for file in documents.shard_files("train")]
    assert names == ["shard_00000.jsonl.gz", "shard_00001.jsonl.gz"]
    assert [file.name for file in documents.shard_files("val")] == ["shard_00003.jsonl.gz"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"Done! Downloaded: 3/3 shards to {base / 'base_data'}"


def test_a_second_download_fetches_no_shard_again(base: Path, mirror: Mirror) -> None:
    assert download(mirror) == 0
    mirror.asked.clear()
    assert download(mirror) == 0
    assert {name for name, _ in mirror.asked} == {"manifest.json", "conversations.jsonl"}


def test_a_cut_download_goes_on_where_it_ended(base: Path, mirror: Mirror) -> None:
    name = "shard_00001.jsonl.gz"
    mirror.cut_after[name] = [40]
    assert download(mirror) == 0
    assert mirror.served(name) == ["", "bytes=40-"]
    assert (base / "base_data" / name).read_bytes() == mirror.files[name]


def test_a_part_that_an_earlier_process_left_is_continued(base: Path, mirror: Mirror) -> None:
    name = "shard_00002.jsonl.gz"
    (base / "base_data").mkdir(parents=True)
    (base / "base_data" / f"{name}.part").write_bytes(mirror.files[name][:33])
    assert download(mirror) == 0
    assert mirror.served(name) == ["bytes=33-"]
    assert (base / "base_data" / name).read_bytes() == mirror.files[name]


def test_a_server_without_range_is_read_from_the_start(base: Path, mirror: Mirror) -> None:
    mirror.honours_range = False
    mirror.cut_after["shard_00000.jsonl.gz"] = [10]
    assert download(mirror) == 0
    content = (base / "base_data" / "shard_00000.jsonl.gz").read_bytes()
    assert content == mirror.files["shard_00000.jsonl.gz"]


def test_a_damaged_file_on_disk_is_fetched_anew(base: Path, mirror: Mirror) -> None:
    name = "shard_00000.jsonl.gz"
    (base / "base_data").mkdir(parents=True)
    (base / "base_data" / name).write_bytes(b"x" * len(mirror.files[name]))
    (base / "base_data" / f"{name}.part").write_bytes(b"y" * len(mirror.files[name]))
    assert download(mirror) == 0
    assert (base / "base_data" / name).read_bytes() == mirror.files[name]


def test_a_missing_shard_fails_the_download_unlike_nanochats(
    base: Path, mirror: Mirror, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.refused.add("shard_00001.jsonl.gz")
    assert download(mirror) == 1
    out = capsys.readouterr().out
    assert "Failed to download shard_00001.jsonl.gz" in out
    assert "Done! Downloaded: 3/4 shards" in out.splitlines()[-1]


def test_a_mirror_that_cannot_be_read_is_named(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dataset.main(["--mirror", "http://127.0.0.1:9"]) == 1
    assert "dataset mirror 127.0.0.1 cannot be used" in capsys.readouterr().err
    assert dataset.main(["--mirror", ""]) == 2
    assert "DATASET_MIRROR_URL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({}, "not as expected"),
        ({"shards": [{"name": "a"}]}, "not as expected"),
        ({"shards": []}, "at least 2"),
        ({"shards": [{"name": "../a", "size_bytes": 1, "sha256": ""}] * 2}, "no plain file name"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(found: dict[str, object], told: str) -> None:
    with pytest.raises(dataset.DownloadError, match=told):
        dataset.plan(found, train_shards=-1)


def test_held_out_conversations_are_never_trained_on(base: Path, mirror: Mirror) -> None:
    assert download(mirror) == 0
    trained, held_out = documents.conversations("train"), documents.conversations("val")
    assert len(trained) + len(held_out) == len(TALK)
    assert not [one for one in held_out if one in trained]


def test_training_on_a_single_shard_is_refused(base: Path) -> None:
    """nanochat's base_train spins for ever without a word when only one shard is there."""
    folder = layout.shards_dir()
    folder.mkdir(parents=True)
    (folder / "shard_00000.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(FileNotFoundError, match="at least 2 are needed"):
        documents.shard_files("train")


def test_other_data_has_another_fingerprint(base: Path, mirror: Mirror) -> None:
    assert download(mirror) == 0
    files = documents.shard_files("train")
    before = documents.fingerprint(files)
    assert documents.fingerprint(files) == before
    files[0].write_bytes(shard(["other"]))
    assert documents.fingerprint(files) != before


FACTS = StepFacts(
    step=10,
    total_steps=400,
    loss=4.25,
    lrm=1.0,
    dt_s=0.25,
    tokens=2048,
    epoch=loglines.epoch_field({"epoch": 1, "pq_idx": 0, "rg_idx": 176}),
    total_s=30.0,
)


def test_the_training_line_is_nanochats() -> None:
    assert loglines.base_step(FACTS) == (
        "step 00010/00400 (2.50%) | loss: 4.250000 | lrm: 1.00 | dt: 250.00ms | tok/sec: 8,192"
        " | bf16_mfu: 0.00 | epoch: 1 pq: 0 rg: 176 | total time: 0.50m"
    )


def test_what_is_left_is_told_after_the_first_steps() -> None:
    assert loglines.base_step(replace(FACTS, step=20)).endswith("| total time: 0.50m | eta: 19.0m")


def test_the_supervisor_reads_the_lines_that_the_trainer_prints() -> None:
    step = TrainingStep(10, 400, 4.25, 8192.0, 250.0, 0.0)
    assert parse_line(loglines.base_step(FACTS)) == step
    sft = parse_line(loglines.sft_step(FACTS))
    assert sft == step  # of how many steps is estimated from the percentage
    assert parse_line(loglines.validation(step=10, bpb=1.5)) == Evaluation(10, 1.5)


def test_the_last_line_of_a_training_depends_on_an_evaluation() -> None:
    lines = loglines.closing(peak_bytes=1024 * 1024, total_s=90, min_val_bpb=None)
    assert lines == ["Peak memory usage: 1.00MiB", "Total training time: 1.50m"]
    lines = loglines.closing(peak_bytes=0, total_s=90, min_val_bpb=1.25)
    assert lines[2] == "Minimum validation bpb: 1.250000"


def test_a_report_joins_the_sections_and_names_the_missing_ones(base: Path) -> None:
    report.section("base-model-evaluation", {"val bpb": 1.75}, samples={"The": "The ```end```"})
    assert report.main(["generate"]) == 0
    text = (base / "report" / "report.md").read_text()
    assert "| Validation bpb (base) | 1.75 |" in text
    assert "The '''end'''" in text
    assert "## chat-sft\n\nNo section" in text
    assert report.main(["reset"]) == 0
    assert not list((base / "report").iterdir())


def test_the_newest_step_has_model_and_meta(tmp_path: Path) -> None:
    for name in ("model_000010.pt", "meta_000010.json", "model_000020.pt", "meta_000030.json"):
        (tmp_path / name).touch()
    assert layout.newest_step(tmp_path) == 10
    with pytest.raises(FileNotFoundError, match="--model-tag"):
        layout.newest_step(tmp_path / "none")


def test_the_newest_tag_is_the_deepest(base: Path) -> None:
    for tag in ("d2", "d10", "dx"):
        layout.checkpoint_dir("base", tag).mkdir(parents=True)
    assert layout.newest_tag("base") == "d10"
    with pytest.raises(FileNotFoundError, match="No model tag"):
        layout.newest_tag("sft")
