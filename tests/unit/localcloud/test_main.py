"""The entries that a person or `make` calls: whatever strikes them is a line and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

# Loaded by Python itself at its start: Ctrl-C when the first heavy import begins.
CTRL_C_IN_IMPORTS = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""
ENTRIES = [
    (["localcloud", "start"], "goes on from here"),
    (["localcloud", "status"], "Interrupted."),
    (["localcloud.main_job", "up"], "what was rented goes on. `make up` goes on"),
    (["localcloud.main_job", "down"], "`make down` again goes on"),
    (["localcloud.main_job", "purge", "--yes"], "`make purge` again goes on"),
    (["localcloud.pulumi.engine", "install"], "the same again goes on"),
    (["benchmarks"], "what was started is stopped"),
]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of commands that find no local cloud and no engine."""
    return os.environ | {
        "TRAINSTACK_LOCAL_DIR": str(tmp_path / "local"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DOCKER_HOST": f"unix://{tmp_path}/no-docker.sock",
    }


def typed(
    words: list[str], env: dict[str, str], *, to: Path | None = None
) -> subprocess.CompletedProcess[str]:
    with (to or Path(os.devnull)).open("w") as out:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=env,
            stdout=out if to else subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )


@pytest.mark.parametrize(("words", "comfort"), ENTRIES, ids=" ".join)
def test_ctrl_c_during_the_imports_is_a_word_about_what_goes_on(
    words: list[str], comfort: str, env: dict[str, str], tmp_path: Path
) -> None:
    """https://github.com/ethereum/trinity/issues/1335"""
    (tmp_path / "sitecustomize.py").write_text(CTRL_C_IN_IMPORTS)
    done = typed(words, env | {"PYTHONPATH": str(tmp_path)})
    assert comfort in done.stderr
    assert (done.returncode, done.stderr.strip().count("\n")) == (130, 0), done.stderr


@pytest.mark.parametrize(
    "words", [["localcloud", "env"], ["localcloud", "status"], ["localcloud", "--help"]]
)
def test_a_full_disk_behind_the_output_is_a_line(words: list[str], env: dict[str, str]) -> None:
    done = typed(words, env, to=Path("/dev/full"))
    assert done.stderr.startswith("localcloud: standard output: No space left on device.")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    "encoding",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}],
)
@pytest.mark.parametrize("words", [["localcloud", "--help"], ["localcloud", "env"]])
def test_a_terminal_that_is_not_utf8_and_a_folder_that_is_not_ascii_are_fine(
    words: list[str], encoding: dict[str, str], env: dict[str, str], tmp_path: Path
) -> None:
    env["TRAINSTACK_LOCAL_DIR"] = str(tmp_path / "übung")
    done = typed(words, env | encoding)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_no_entry_needs_the_folder_that_one_is_in(env: dict[str, str]) -> None:
    done = typed(["localcloud.main_job", "down"], env | {"PYTHONSAFEPATH": "1"})
    assert "Nothing to give back" in done.stdout
    assert done.returncode == 0


def test_without_an_engine_start_says_which_command_brings_it(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from localcloud import cli
    from localcloud.place import load_place

    monkeypatch.setenv("XDG_CACHE_HOME", env["XDG_CACHE_HOME"])
    monkeypatch.setenv("PATH", str(tmp_path))
    said = cli.next_steps(load_place(tmp_path / "local"))
    assert "python -m localcloud.pulumi.engine install && python -m localcloud start" in said
