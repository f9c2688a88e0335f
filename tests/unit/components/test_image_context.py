"""The image is decided by the content of listed files alone."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from components import image_context, run_image
from localcloud.pulumi.plugins.context_digest import context_digest
from tests import ROOT

FILES = {
    "Dockerfile": "FROM base\nCOPY . /app\n",
    "start.sh": "#!/bin/sh\nexec true\n",
    "stages/__init__.py": "",
    "stages/one.py": "x = 1\n",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "clone" / "container"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    lines = ["# comment", "*", *(f"!{name}" for name in FILES)]
    (folder / image_context.LIST).write_text("\n".join(lines) + "\n")
    return folder


def build(source: Path) -> tuple[str, str, list[tuple[str, int, bytes]]]:
    """Return the tag, the digest as the docker plugin forms it, and all that the build sees."""
    folder = source.parent / ".image" / "context"
    files = image_context.read(source)
    image_context.write(files, folder=folder)
    seen = [
        (
            path.relative_to(folder).as_posix(),
            path.stat().st_mode,
            b"" if path.is_dir() else path.read_bytes(),
        )
        for path in sorted(folder.rglob("*"))
    ]
    tag = run_image.content_tag(files, target="t", build_args={})
    return tag, context_digest(folder, folder / "Dockerfile"), seen


def group_writable(source: Path) -> None:
    for path in source.rglob("*"):
        path.chmod(path.stat().st_mode | 0o020)


def closed_to_others(source: Path) -> None:
    for path in source.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)


def everything_runs(source: Path) -> None:
    for path in source.rglob("*"):
        path.chmod(0o777)


def windows_line_ends(source: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def junk(source: Path) -> None:
    for name in (
        "stages/one.py~",
        "stages/.one.py.swp",
        "stages/#one.py#",
        "stages/one copy.py",
        "stages/__pycache__/one.cpython-311.pyc",
        ".idea/workspace.xml",
        ".DS_Store",
        "Dockerfile.orig",
        "notes.md",
    ):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"junk")
    (source / "dangling").symlink_to("nowhere")


def other_times(source: Path) -> None:
    for path in source.rglob("*"):
        os.utime(path, (1, 1))


def another_place(source: Path) -> None:
    """As a link, which some build systems make of each file."""
    target = source.parent.parent / "store" / "one.py"
    target.parent.mkdir()
    shutil.move(source / "stages/one.py", target)
    (source / "stages/one.py").symlink_to(target)


@pytest.mark.parametrize(
    "checkout",
    [
        group_writable,
        closed_to_others,
        everything_runs,
        windows_line_ends,
        junk,
        other_times,
        another_place,
    ],
)
def test_nothing_but_content_makes_another_image(
    source: Path, checkout: Callable[[Path], None]
) -> None:
    """Another umask, an archive, CRLF, junk: https://github.com/pulumi/pulumi-docker-build/pull/979.

    https://github.com/pulumi/pulumi-docker/issues/23: another computer, another image.
    """
    first = build(source)
    shutil.rmtree(source.parent / ".image")
    checkout(source)
    assert build(source) == first


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o027, 0o077])
def test_no_umask_makes_another_image(source: Path, mask: int) -> None:
    first = build(source)
    shutil.rmtree(source.parent / ".image")
    old = os.umask(mask)
    try:
        assert build(source) == first
    finally:
        os.umask(old)


def test_the_context_has_fixed_modes_and_nothing_that_is_not_listed(source: Path) -> None:
    junk(source)
    _, _, seen = build(source)
    assert [(name, stat.filemode(mode)) for name, mode, _ in seen] == [
        ("Dockerfile", "-rw-r--r--"),
        ("stages", "drwxr-xr-x"),
        ("stages/__init__.py", "-rw-r--r--"),
        ("stages/one.py", "-rw-r--r--"),
        ("start.sh", "-rwxr-xr-x"),
    ]


def rename(source: Path) -> None:
    (source / "stages/one.py").rename(source / "stages/two.py")
    named = source / image_context.LIST
    named.write_text(named.read_text().replace("one.py", "two.py"))


def drop(source: Path) -> None:
    named = source / image_context.LIST
    named.write_text(named.read_text().replace("!stages/one.py\n", ""))


@pytest.mark.parametrize(
    "change", [lambda s: (s / "stages/one.py").write_text("x = 2\n"), rename, drop]
)
def test_other_content_makes_another_image(source: Path, change: Callable[[Path], object]) -> None:
    first = build(source)
    change(source)
    second = build(source)
    assert all(was != becomes for was, becomes in zip(first, second, strict=True))


def test_what_was_left_in_the_context_goes_and_what_is_right_stays_untouched(source: Path) -> None:
    first = build(source)
    folder = source.parent / ".image" / "context"
    kept = (folder / "stages/one.py").stat()
    (folder / "stages/left.py").write_text("x")
    (folder / "old").mkdir()
    (folder / "old/er").mkdir()
    (folder / "link").symlink_to(folder)
    (folder / "start.sh").chmod(0o600)
    (folder / "stages/__init__.py").unlink()
    (folder / "stages/__init__.py").symlink_to(source / "stages/__init__.py")
    assert build(source) == first
    assert not (folder / "stages/__init__.py").is_symlink()
    again = (folder / "stages/one.py").stat()
    assert (again.st_ino, again.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def test_a_file_that_is_missing_is_named_with_what_to_do(source: Path) -> None:
    (source / "stages/one.py").unlink()
    with pytest.raises(image_context.ImageContextError, match=r"one\.py.* is not there.*checkout"):
        image_context.read(source)
    drop(source)
    assert "stages/one.py" not in image_context.read(source)


def test_a_context_that_cannot_be_written_is_one_message_whose_remedy_helps(source: Path) -> None:
    folder = source.parent / ".image" / "context"
    folder.parent.write_text("a file where the folder is to be")
    files = image_context.read(source)
    with pytest.raises(image_context.ImageContextError, match="could not be copied to"):
        image_context.write(files, folder=folder)
    folder.parent.unlink()
    image_context.write(files, folder=folder)
    assert (folder / "start.sh").is_file()


def test_a_module_that_no_list_names_is_said_and_refused_when_it_is_needed(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", said.append)
    junk(source)
    run_image.image_files(source)
    assert said == []

    new = source / "stages/mine.py"
    new.write_text("")
    run_image.image_files(source)
    (line,) = said
    assert "stages/mine.py" in line and "`!stages/mine.py`" in line

    def loaded(_source: Path) -> frozenset[str]:
        return frozenset({"stages/mine.py"})

    monkeypatch.setattr(image_context, "loaded_modules", loaded)
    with pytest.raises(image_context.ImageContextError, match=r"add the line `!stages/mine\.py`"):
        run_image.image_files(source)
    named = source / image_context.LIST
    named.write_text(f"{named.read_text()}!stages/mine.py\n")
    assert "stages/mine.py" in run_image.image_files(source)


def test_what_this_program_has_loaded_of_the_container_is_known() -> None:
    loaded = image_context.loaded_modules(ROOT / "container")
    assert "contract/redacted.py" in loaded
    assert loaded <= {*image_context.listed(ROOT / "container")}
