"""The program's edge: what nothing foresaw is one message and an exit code, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

CTRL_C = "os.kill(os.getpid(), signal.SIGINT)"
FULL = Path("/dev/full")


def program(body: str) -> list[str]:
    """Return a command whose program is these lines, run at the edge."""
    inner = "\n".join(f"    {line}" for line in body.splitlines())
    text = (
        "import os, signal, sys\nfrom container.contract.edge import run\n"
        f"def main():\n{inner}\n"
        "run(main, program='runs', comfort='Interrupted; the run goes on.')\n"
    )
    return [sys.executable, "-c", text]


def ended(body: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program(body),
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


@pytest.mark.parametrize(
    "body",
    [
        CTRL_C,
        # As typer does: an exit code, and no word.
        f"try: {CTRL_C}\nexcept KeyboardInterrupt as error: sys.exit(130)",
        # A second one, while the first is told.
        f"try: {CTRL_C}\nfinally: {CTRL_C}",
        # Before anything of the program is there.
        "class Finder:\n  def find_spec(self, *_): " + CTRL_C + "\n"
        "sys.meta_path.insert(0, Finder())\nimport nowhere",
    ],
)
def test_ctrl_c_is_its_line_of_comfort_wherever_it_strikes(body: str) -> None:
    """Forty lines of imports were shown, also where it read "Ctrl-C leaves it running".

    https://github.com/ethereum/trinity/issues/1335
    """
    done = ended(body)
    assert (done.stdout, done.stderr.strip()) == ("", "Interrupted; the run goes on.")
    assert done.returncode == 130


def test_what_a_command_has_told_is_not_told_again() -> None:
    done = ended(
        f"try: {CTRL_C}\nexcept KeyboardInterrupt:\n  print('told', file=sys.stderr)\n"
        "  raise SystemExit(130) from None"
    )
    assert (done.stderr, done.returncode) == ("told\n", 130)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise OSError(28, 'No space left on device', '/a/b')", "/a/b: No space left on device."),
        ("open('/proc/nowhere/x')", "/proc/nowhere/x: No such file or directory."),
        ("open('/proc', 'w')", "/proc: Is a directory."),
        ("raise MemoryError", "not enough free memory"),
        ("import not_there", "`make setup` makes .venv"),
        ("1 / 0", "a bug of this program: ZeroDivisionError at"),
        ("def again(): again()\nagain()", "a bug of this program: RecursionError at"),
        ("from components.registry import nothing", "a bug of this program: ImportError at"),
    ],
)
def test_what_nothing_foresaw_is_one_line(body: str, said: str) -> None:
    done = ended(body)
    assert done.stderr.startswith("runs: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.returncode == 1


def test_a_bug_names_our_own_line_and_keeps_what_it_was_about_to_itself() -> None:
    """The message of somebody else's exception may hold a key; so may a traceback."""
    done = ended("from container.contract import recipe\nrecipe.render('{a-secret}', {})")
    assert "RecipeError at container/contract/recipe.py:" in done.stderr
    assert "a-secret" not in done.stderr
    traced = ended("1 / 0", TRAINSTACK_TRACEBACK="1").stderr
    assert "Traceback (most recent call last)" in traced
    assert traced.splitlines()[-1].startswith("runs: a bug")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("body", ["print('a')", "print('a' * 100_000)", "sys.exit(3)"])
def test_a_full_disk_behind_the_output_is_said_once(body: str, unbuffered: str) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            program("print('before')\n" + body),
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr.startswith("runs: standard output: No space left on device.")
    assert (done.stderr.count("\n"), done.returncode) == (1, 1), done.stderr


def test_where_there_is_room_again_the_same_ends_well(tmp_path: Path) -> None:
    body = "with open(sys.argv[1], 'w') as file: file.write('a')"
    full = subprocess.run(
        [*program(body), str(FULL)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "Make room there, then the same again" in full.stderr
    subprocess.run([*program(body), str(tmp_path / "file")], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("limit", "few", "many", "body", "told"),
    [
        ("RLIMIT_NOFILE", 16, 256, "kept = [open('/dev/null') for _ in range(64)]", "ulimit -n"),
        ("RLIMIT_AS", 2**28, 2**32, "bytearray(2**29)", "not enough free memory"),
    ],
    ids=["files", "memory"],
)
def test_with_more_of_what_was_short_the_same_ends_well(
    limit: str, few: int, many: int, body: str, told: str
) -> None:
    begin = f"import resource\nhard = resource.getrlimit(resource.{limit})[1]\n"
    set_to = f"{begin}resource.setrlimit(resource.{limit}, (%d, hard))\n{body}"
    short = ended(set_to % few)
    assert told in short.stderr
    assert short.returncode == 1
    assert ended(set_to % many).returncode == 0


def test_output_and_talk_that_are_both_full_leave_the_exit_code() -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            program("print('a')"), cwd=ROOT, stdout=full, stderr=full, check=False
        )
    assert done.returncode == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        program("while True: print('a line')"),
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_connection_that_breaks_is_not_taken_for_a_reader_that_left() -> None:
    done = ended("raise BrokenPipeError(32, 'Broken pipe')")
    assert (done.returncode, done.stderr) == (1, "runs: Broken pipe. Then the same again.\n")


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "utf-8"},
    ],
)
def test_a_terminal_of_any_encoding_gets_every_line(env: dict[str, str]) -> None:
    done = ended(
        r"print('8 \xd7 H100 \u2026 \u4e2d \udce9'); print('\u2192', file=sys.stderr)", **env
    )
    assert done.returncode == 0, done.stderr
    assert "H100" in done.stdout
    assert done.stdout.count("\n") == done.stderr.count("\n") == 1
    if env.get("PYTHONIOENCODING") == "ascii":
        assert (done.stdout, done.stderr) == ("8 x H100 ... ? ?\n", "->\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nowhere_and_not_the_next_file(closed: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    body = (
        f"with open({str(kept)!r}, 'w') as file: print('lost'); sys.stderr.write('lost'); "
        "file.write('kept')"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *program(body)], cwd=ROOT, check=False
    )
    assert (done.returncode, kept.read_text()) == (0, "kept")


def test_a_message_as_exit_code_goes_to_stderr() -> None:
    done = ended("sys.exit('make up: no')")
    assert (done.returncode, done.stderr) == (1, "make up: no\n")
