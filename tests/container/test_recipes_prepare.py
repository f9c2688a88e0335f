"""What the nanochat recipes fetch beforehand, and the report at a commit that writes none."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from container.nanochat import prepare, report


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path))
    monkeypatch.setattr(prepare, "FIRST_PAUSE_S", 0.0)
    return tmp_path


def test_a_report_that_was_begun_keeps_when_the_run_began(base: Path) -> None:
    source = base / "source"
    (source / "nanochat").mkdir(parents=True)
    (source / "nanochat" / "report.py").write_text("print('reset')")
    header = base / "report" / "header.md"
    header.parent.mkdir()
    header.write_text("Run started: long ago")
    program = [
        sys.executable,
        "-c",
        "from container.nanochat import prepare as p; p._begin_report()",
    ]
    paths = os.pathsep.join([str(source), str(Path.cwd())])
    environment = {"PYTHONPATH": paths, "NANOCHAT_BASE_DIR": str(base)}
    assert subprocess.check_output(program, env=environment, text=True) == ""
    header.unlink()
    assert subprocess.check_output(program, env=environment, text=True) == "reset\n"


@pytest.mark.parametrize(
    ("capability", "found", "window_pattern", "told"),
    [
        (9, True, "SSSL", "is there"),
        (8, False, "L", "PyTorch's own"),
        (None, False, "SSSL", "PyTorch's own"),
    ],
)
def test_attention_that_costs_nothing_extra_is_accepted(
    capability: int | None, found: bool, window_pattern: str, told: str
) -> None:
    said = prepare.flash_attention(capability, found=found, window_pattern=window_pattern)
    assert told in said


@pytest.mark.parametrize(
    ("capability", "window_pattern", "told"),
    [(9, "SSSL", "Hopper"), (9, "L", "Hopper"), (8, "SSSL", "window_pattern to L")],
)
def test_slow_attention_ends_the_run_while_it_is_cheap(
    capability: int, window_pattern: str, told: str
) -> None:
    """nanochat trains on, several times slower, with a line in the log."""
    with pytest.raises(prepare.PrepareError, match=told):
        prepare.flash_attention(capability, found=False, window_pattern=window_pattern)


def test_a_bundle_that_was_never_unpacked_is_fetched_anew(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nanochat sees the archive, skips unpacking, and dies on core.yaml."""
    source = base / "source.zip"
    with zipfile.ZipFile(source, "w") as content:
        content.writestr("eval_bundle/core.yaml", "tasks: []")
    (base / "eval_bundle.zip").write_bytes(b"half of it")
    monkeypatch.setattr(prepare, "EVAL_BUNDLE_URL", source.as_uri())
    prepare.eval_bundle()
    assert (base / "eval_bundle" / "core.yaml").read_text() == "tasks: []"
    source.unlink()
    prepare.eval_bundle()  # there already: nothing is fetched


def test_a_download_that_never_works_leaves_no_file(base: Path) -> None:
    with pytest.raises(prepare.PrepareError, match="could not be fetched in 4 attempts"):
        prepare.download("http://127.0.0.1:9/words.txt", base / "words.txt")
    assert not (base / "words.txt").exists()


def test_a_commit_without_report_gets_one_of_what_is_on_disk(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "source" / "nanochat").mkdir(parents=True)
    (base / "source" / "nanochat" / "__init__.py").touch()
    monkeypatch.syspath_prepend(base / "source")
    folder = base / "base_checkpoints" / "d20"
    folder.mkdir(parents=True)
    (folder / "meta_000100.json").write_text(json.dumps({"step": 100, "val_bpb": 0.9}))
    (base / "base_eval").mkdir()
    (base / "base_eval" / "base_model_000100.csv").write_text("CORE, , 0.25\n")
    assert report.main(["--model-tag=d20"]) == 0
    text = (base / "report" / "report.md").read_text()
    assert "- step: 100" in text
    assert "CORE, , 0.25" in text


def test_the_programs_run_on_the_python_of_nanochat() -> None:
    """nanochat's environment may be Python 3.10: no newer syntax."""
    for program in (prepare, report):
        source = inspect.getsource(program)
        ast.parse(source, feature_version=(3, 10))
