"""The image's tag follows its content."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.run_image import content_tag


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM base")
    (tmp_path / "recipes" / "one.py").write_text("x = 1")
    (tmp_path / ".dockerignore").write_text("# comment\n**/__pycache__\n*.md\n!KEEP.md\nnotes/\n")
    return tmp_path


def tag(context: Path, **args: str) -> str:
    return content_tag(context, target="rehearsal", build_args=args)


def test_the_same_content_gives_the_same_tag(context: Path) -> None:
    first = tag(context)
    (context / "Dockerfile").touch()
    assert tag(context) == first
    assert len(first) == 16


def test_a_changed_file_name_mode_target_or_argument_gives_another_tag(context: Path) -> None:
    seen = {tag(context), tag(context, BASE_IMAGE="a"), tag(context, BASE_IMAGE="b")}
    seen.add(content_tag(context, target="nanochat", build_args={}))
    (context / "recipes" / "one.py").write_text("x = 2")
    seen.add(tag(context))
    (context / "recipes" / "one.py").chmod(0o755)
    seen.add(tag(context))
    (context / "recipes" / "one.py").rename(context / "recipes" / "two.py")
    seen.add(tag(context))
    assert len(seen) == 7


def test_what_the_build_does_not_see_does_not_count(context: Path) -> None:
    first = tag(context)
    (context / "recipes" / "__pycache__").mkdir()
    (context / "recipes" / "__pycache__" / "one.pyc").write_text("x")
    (context / "README.md").write_text("x")
    (context / "notes").mkdir()
    (context / "notes" / "a.txt").write_text("x")
    assert tag(context) == first
    (context / "KEEP.md").write_text("x")
    assert tag(context) != first
