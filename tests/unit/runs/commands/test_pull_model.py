"""`runs pull --model`: the finished models and how to load them, nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.runs_builders import manifest, status, verdict
from tests.unit.runs.test_remedies import retyped
from tests.unit.runs.typed import typed

PREFIX = "dev-main-0a1b2c3d-deadbeef"
MAIN = ("--bucket", "b", "--prefix", PREFIX)
README = {"model/README.md": b"# how to load it"}
MODEL = {"model/sft.pt": b"weights", "model/tokenizer.pkl": b"tokens", **README}


def run(kept: Mapping[str, bytes], *, ended: bool = True) -> dict[str, bytes]:
    objects = {
        "status.json": status(outcome="succeeded" if ended else None).to_json(),
        **({"verdict.json": verdict().to_json()} if ended else {}),
        **({"manifest.json": manifest(kept).to_json()} if ended else {}),
        **kept,
    }
    return {f"{PREFIX}/{key}": raw for key, raw in objects.items()}


def copied(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".pull.jsonl"
    }


def test_just_the_models_are_copied_with_their_hashes_and_where_to_read_on(tmp_path: Path) -> None:
    objects = run({**MODEL, "checkpoints/sft/d4/model_000009.pt": b"weights"})
    ended = typed(objects, "pull", *MAIN, "--model", "--to", str(tmp_path))
    assert ended.code == 0, ended.err
    assert copied(tmp_path) == set(MODEL)
    assert "3 copied" in ended.out and "all hashes right" in ended.out
    assert f"How to load it: {tmp_path}/model/README.md" in ended.err.replace("\n", "")


def test_a_damaged_model_is_told_and_not_kept(tmp_path: Path) -> None:
    objects = run(MODEL) | {f"{PREFIX}/model/sft.pt": b"wrights"}
    ended = typed(objects, "pull", *MAIN, "--model", "--to", str(tmp_path), "--json")
    assert ended.code == 1
    results = {one["key"]: one["result"] for one in json.loads(ended.out)["files"]}
    assert results == dict.fromkeys(MODEL, "copied") | {"model/sft.pt": "damaged"}
    assert "model/sft.pt" not in copied(tmp_path)
    assert "How to load it" not in ended.err


@pytest.mark.parametrize("stage", ["sft", "mid", "base"])
def test_a_run_of_an_older_release_has_its_checkpoints_copied_by_the_command_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = {
        f"checkpoints/{stage}/d4/model_000009.pt": b"weights",
        "checkpoints/base/d4/model_000005.pt": b"older",
        "report/report.md": b"# report",
    }
    ended = typed(run(kept), "pull", *MAIN, "--model")
    assert (ended.code, "has no folder model/" in ended.err) == (2, True)
    retyped(run(kept), ended.err)
    wanted = {key for key in kept if key.startswith(f"checkpoints/{stage}/")}
    assert copied(tmp_path / "pulled" / PREFIX) == wanted


def test_of_the_model_and_a_part_one_is_said(tmp_path: Path) -> None:
    words = ("pull", *MAIN, "--to", str(tmp_path))
    ended = typed(run(MODEL), *words, "--model", "--only", "report/*")
    assert (ended.code, "say one of them" in ended.err) == (2, True)
    assert typed(run(MODEL), *words, "--model").code == 0
    assert typed(run(MODEL), *words, "--only", "model/*").code == 0


def test_a_model_that_was_finished_is_copied_from_a_run_that_goes_on(tmp_path: Path) -> None:
    words = ("pull", *MAIN, "--model", "--to", str(tmp_path))
    ended = typed(run(MODEL, ended=False), *words)
    assert (ended.code, "--without-manifest" in ended.err) == (1, True)
    assert typed(run(MODEL, ended=False), *words, "--without-manifest").code == 0
    assert copied(tmp_path) == set(MODEL)
