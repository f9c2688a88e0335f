"""The image has every file of `container/` that git tracks: a new module is never forgotten."""

from __future__ import annotations

import subprocess

import pytest

from components import image_context
from tests import ROOT
from tests.image_files import CONTAINER, text, tracked


def is_checkout() -> bool:
    return (ROOT / ".git").exists()


@pytest.mark.skipif(not is_checkout(), reason="unpacked from an archive: git tracks nothing here")
def test_the_list_of_the_image_is_what_git_tracks() -> None:
    assert (CONTAINER / image_context.LIST).read_text() == text(), "`make image-files` mends it"


@pytest.mark.skipif(not is_checkout(), reason="unpacked from an archive: git tracks nothing here")
def test_only_a_script_is_executable_in_git_too() -> None:
    shown = subprocess.run(
        ["git", "ls-files", "--stage", "."],
        cwd=CONTAINER,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    modes = {line.split("\t")[1]: int(line.split()[0], 8) & 0o777 for line in shown.splitlines()}
    assert {name: modes[name] for name in tracked()} == {
        name: image_context.mode_of(name) for name in tracked()
    }


@pytest.mark.skipif(not is_checkout(), reason="unpacked from an archive: git tracks nothing here")
def test_git_writes_lf_whatever_it_is_told_of_line_ends_on_this_computer() -> None:
    """With core.autocrlf a checkout had CRLF, and no script of it starts in a Linux container."""
    shown = subprocess.run(
        ["git", "check-attr", "-z", "eol", "--", *tracked()],
        cwd=CONTAINER,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    assert dict(zip(shown[::3], shown[2::3], strict=False)) == dict.fromkeys(tracked(), "lf")


def test_each_file_of_the_image_is_text_so_that_line_ends_may_be_changed() -> None:
    for name, content in image_context.read(CONTAINER).items():
        assert b"\0" not in content, f"{name} is not text: line ends in it are content"
