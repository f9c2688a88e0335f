"""`setup.sh`: makes the environment once, again when it is broken or is not this folder's.

What keeps it from that is one line with the remedy, whatever tools the system has.
"""

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
  *ensurepip*) exit "${NO_ENSUREPIP:-0}" ;;
  *"-m venv "*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
  *"-m pip "*)
    [ -z "${PIP_SAYS:-}" ] || { echo "$PIP_SAYS" >&2; exit 1; }
    touch "$MEETING/$$"
    while [ "$(ls "$MEETING" | wc -l)" -lt "$MEET" ]; do :; done
    [ -f "$0" ] || { echo "pip: its environment was deleted" >&2; exit 1; }
    cp "$UV" "$(dirname "$0")/uv" ;;
esac
"""
UV = """#!/bin/sh
echo "$*" >>"$UV_LOG"
case "$1 ${UV_SAYS:-}" in "pip "?*) echo "$UV_SAYS" >&2; exit 2 ;; esac
[ "$1" = venv ] || exit 0
rm -rf .venv && mkdir -p .venv/bin && cp "$(command -v python3.11)" .venv/bin/python
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


def only(folder: Path, *tools: str) -> str:
    """Return a PATH on which nothing but these is found."""
    folder.mkdir()
    for name in tools:
        tool = shutil.which(name)
        assert tool is not None
        (folder / name).symlink_to(tool)
    return str(folder)


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


# What both POSIX and macOS have; none of sha256sum, flock, timeout, nproc, readlink, mktemp, date.
PORTABLE = ("sh", "cat", "cp", "dirname", "find", "id", "ls", "mkdir", "mv", "rm", "touch", "wc")


@pytest.mark.parametrize("changed", ["requirements.lock", "setup.sh"])
def test_a_changed_lock_is_noticed_with_the_tools_that_every_system_has(
    tmp_path: Path, environment: dict[str, str], changed: str
) -> None:
    """macOS has no `sha256sum`: an empty hash was kept, and every later one was equal to it.

    https://github.com/jdx/mise/issues/590
    """
    environment["PATH"] = f"{tmp_path / 'bin'}:{only(tmp_path / 'portable', *PORTABLE)}"
    program(tmp_path / "bin" / "python3.11", PYTHON)
    folder = checkout(tmp_path / "a")
    first = run(folder, environment)
    said = first.communicate()[1]
    assert first.returncode == 0, said
    assert "not found" not in said
    assert run(folder, environment).communicate()[1] == ""
    with (folder / changed).open("a") as file:
        file.write("# changed\n")
    again = run(folder, environment)
    assert "locked packages" in again.communicate()[1]
    assert again.returncode == 0


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_an_environment_of_another_folder_is_made_anew(
    tmp_path: Path, environment: dict[str, str], how: str
) -> None:
    """The scripts in .venv/bin name the folder they were made in, and ran what lay there.

    https://github.com/pypa/virtualenv/issues/2308
    """
    folder = checkout(tmp_path / "a")
    assert run(folder, environment).wait() == 0
    (folder / ".venv" / "bin" / "of-the-old-one").touch()
    other = tmp_path / "b"
    if how == "moved":
        folder.rename(other)
    else:
        shutil.copytree(folder, other, symlinks=True)
    setup = run(other, environment)
    assert f".venv was made for {folder}; making it anew" in setup.communicate()[1]
    assert setup.returncode == 0
    assert not (other / ".venv" / "bin" / "of-the-old-one").exists()
    assert run(other, environment).communicate()[1] == ""


CONNECTION = "Failed to establish a new connection: [Errno 111] Connection refused"


@pytest.mark.parametrize(
    ("tool", "output", "remedy"),
    [
        ("PIP_SAYS", f"WARNING: Retrying\n{CONNECTION}\nNo matching distribution", "PIP_INDEX_URL"),
        ("PIP_SAYS", "Read timed out. (read timeout=10)", "no package index answers"),
        ("PIP_SAYS", "OSError: [Errno 28] No space left on device", "make room"),
        ("PIP_SAYS", "ERROR: No matching distribution found for uv", "another"),
        ("PIP_SAYS", "DO NOT MATCH THE HASHES", "the index serves another file"),
        ("UV_SAYS", "error: client error (Connect)\ncause: dns error", "no package index answers"),
        ("UV_SAYS", "invalid peer certificate: UnknownIssuer", "PIP_CERT and SSL_CERT_FILE"),
        ("UV_SAYS", "HTTP status client error (401 Unauthorized)", "refuses access"),
        (
            "UV_SAYS",
            "failed to create directory: Permission denied (os error 13)",
            "XDG_CACHE_HOME",
        ),
        ("UV_SAYS", "a sentence that nobody knows", "the same again may help"),
    ],
)
def test_what_an_installer_fails_by_is_one_line_and_the_next_one_repairs_it(
    tmp_path: Path, environment: dict[str, str], tool: str, output: str, remedy: str
) -> None:
    """Without an index, 39 s of an installer's own warnings were shown."""
    folder = checkout(tmp_path / "a")
    setup = run(folder, environment | {tool: output})
    progress, said = setup.communicate()[1].rsplit("\nsetup: ", 1)
    assert setup.returncode == 1
    assert remedy in said
    assert said.count("\n") == 1
    assert output.splitlines()[0] not in progress + said
    assert output in (folder / ".setup.log").read_text()
    assert not (folder / ".venv").exists(), "nothing half-made is left"
    assert not list((tmp_path / "cache").glob("trainstack/.*"))
    assert run(folder, environment).wait() == 0
    assert not (folder / ".setup.log").exists()


def test_a_lock_that_cannot_be_installed_leaves_the_environment_that_was_there(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = checkout(tmp_path / "a")
    assert run(folder, environment).wait() == 0
    (folder / ".venv" / "bin" / "of-before").touch()
    with (folder / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    for _ in range(2):
        assert run(folder, environment | {"UV_SAYS": "dns error"}).wait() == 1
    assert run(folder, environment).wait() == 0
    assert (folder / ".venv" / "bin" / "of-before").exists()


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ({"HOME": None, "XDG_CACHE_HOME": None}, "set XDG_CACHE_HOME to a folder"),
        ({"XDG_CACHE_HOME": "/dev/null"}, "the cache /dev/null/trainstack cannot be written"),
        ({"HOME": "/proc", "XDG_CACHE_HOME": None}, "/proc/.cache/trainstack cannot be written"),
    ],
)
def test_a_cache_that_cannot_be_is_one_line(
    tmp_path: Path, environment: dict[str, str], without: dict[str, str | None], said: str
) -> None:
    env = {name: value for name, value in (environment | without).items() if value is not None}
    setup = run(checkout(tmp_path / "a"), env)
    line = setup.communicate()[1]
    assert (line.count("\n"), setup.returncode) == (1, 1), line
    assert said in line


def test_a_python_that_makes_no_environments_is_one_line_where_nothing_installs_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    environment["PATH"] = f"{tmp_path / 'bin'}:{only(tmp_path / 'portable', *PORTABLE)}"
    setup = run(checkout(tmp_path / "a"), environment | {"NO_ENSUREPIP": "1"})
    said = setup.communicate()[1]
    assert "python3.11 has no ensurepip; install it" in said.splitlines()[-1]
    assert (said.count("\n"), setup.returncode) == (2, 1)


def test_the_checkout_is_found_from_anywhere_and_under_safe_path() -> None:
    """With PYTHONSAFEPATH=1 the folder that one is in is not looked at: no command was found."""
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "python", "-m", "localcloud", "--help"],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
