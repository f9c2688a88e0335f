"""`setup.sh`: makes the environment once, again when it is broken, beside another at the same."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import ROOT

# An interpreter that can make an environment, whose pip brings a `uv`. With MEET=2 its pip waits
# until two are at work.
PYTHON = """#!/bin/sh
case "$*" in
  *"-m venv "*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
  *"-m pip "*)
    touch "$MEETING/$$"
    while [ "$(ls "$MEETING" | wc -l)" -lt "$MEET" ]; do :; done
    [ -f "$0" ] || { echo "pip: its environment was deleted" >&2; exit 1; }
    cp "$UV" "$(dirname "$0")/uv" ;;
esac
"""
UV = """#!/bin/sh
echo "$*" >>"$UV_LOG"
case $1 in venv) mkdir -p .venv/bin; cp "$(command -v python3.11)" .venv/bin/python ;; esac
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    program(tmp_path / "bin" / "python3.11", PYTHON)
    (tmp_path / "meeting").mkdir()
    return {
        "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "MEETING": str(tmp_path / "meeting"),
        "MEET": "1",
        "UV": str(program(tmp_path / "uv", UV)),
        "UV_LOG": str(tmp_path / "uv.log"),
    }


def checkout(folder: Path) -> Path:
    folder.mkdir()
    for name in ("setup.sh", "requirements.lock", "bootstrap.lock"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def run(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["./setup.sh"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )


def test_a_second_time_does_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = checkout(tmp_path / "a")
    assert run(folder, environment).wait() == 0
    before = Path(environment["UV_LOG"]).read_text()
    again = run(folder, environment)
    assert (again.communicate()[1], again.returncode) == ("", 0)
    assert Path(environment["UV_LOG"]).read_text() == before


def test_an_environment_whose_python_was_removed_is_made_again(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """The stamp alone was believed, and every command then failed."""
    folder = checkout(tmp_path / "a")
    assert run(folder, environment).wait() == 0
    python = folder / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(tmp_path / "removed")
    again = run(folder, environment)
    assert "locked packages" in again.communicate()[1]
    assert Path(environment["UV_LOG"]).read_text().count("venv ") >= 2


def test_two_checkouts_that_get_uv_at_once_do_not_disturb_each_other(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """They shared one folder for what is under way, and each deleted the other's."""
    both = [
        run(checkout(tmp_path / name), environment | {"MEET": "2"}) for name in ("one", "other")
    ]
    for setup in both:
        said = setup.communicate(timeout=60)[1]
        assert setup.returncode == 0, said
    cache = tmp_path / "cache" / "trainstack"
    (uv,) = cache.glob("uv-*/bin/uv")
    assert os.access(uv, os.X_OK)
    assert list(cache.iterdir()) == [uv.parent.parent], "nothing half-made is left"
