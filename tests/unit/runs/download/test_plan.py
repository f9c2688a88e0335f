"""What is copied where, in which pieces, and what a journal remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from container.contract.records import Artifact
from runs.download.plan import plan, ranges
from runs.download.resume_log import ResumeLog
from runs.errors import RunsError


def artifact(key: str) -> Artifact:
    return Artifact(key=key, size_bytes=1, sha256="aa")


@pytest.mark.parametrize(
    "key", ["../x", "a/../../x", "/etc/passwd", "", "a/..", "a\0b", "..", ".pull.jsonl"]
)
def test_a_key_that_would_leave_the_folder_stops_everything(tmp_path: Path, key: str) -> None:
    with pytest.raises(RunsError, match="Nothing was copied"):
        plan([artifact("fine"), artifact(key)], folder=tmp_path)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("", ["checkpoints/sft/d4/model_1.pt", "report/report.md", "a..b"]),
        ("checkpoints/*", ["checkpoints/sft/d4/model_1.pt"]),
        ("*.md", ["report/report.md"]),
        ("REPORT/*", []),
    ],
)
def test_a_pattern_chooses(tmp_path: Path, only: str, expected: list[str]) -> None:
    keys = ["checkpoints/sft/d4/model_1.pt", "report/report.md", "a..b"]
    items = plan([artifact(key) for key in keys], folder=tmp_path, only=only)
    assert [item.key for item in items] == expected
    assert all(item.path == tmp_path / item.key for item in items)


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, []), (9, [(0, 9)]), (10, [(0, 10)]), (11, [(0, 10), (10, 1)])],
)
def test_a_file_is_cut_into_ranges_that_cover_it(
    size_bytes: int, expected: list[tuple[int, int]]
) -> None:
    assert ranges(size_bytes, range_bytes=10) == expected


def test_a_journal_remembers_ranges_of_one_version_across_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with ResumeLog(path) as journal:
        journal.add_range("k", "v1", 0, 10)
        journal.add_range("k", "v1", 10, 10)
        journal.add_range("gone", "v1", 0, 10)
        journal.forget("gone", "v1")
    path.write_bytes(path.read_bytes() + b'{"range": ["k", "v1", 20')
    with ResumeLog(path) as journal:
        assert journal.ranges("k", "v1") == {(0, 10), (10, 10)}
        assert journal.ranges("k", "v2") == set()
        assert journal.ranges("gone", "v1") == set()
        journal.add_range("k", "v1", 30, 10)
    with ResumeLog(path) as journal:
        assert (30, 10) in journal.ranges("k", "v1")


def test_a_verified_file_is_trusted_until_it_is_touched(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"abc")
    with ResumeLog(tmp_path / "j") as journal:
        assert not journal.verified("k", "v", file)
        journal.add_file("k", "v", file)
    with ResumeLog(tmp_path / "j") as journal:
        assert journal.verified("k", "v", file)
        assert not journal.verified("k", "other", file)
        file.write_bytes(b"abd!")
        assert not journal.verified("k", "v", file)
