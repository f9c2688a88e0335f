"""The command line: help that teaches, and exit codes as documented."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from runs.cli import app, main
from runs.errors import EXIT_INTERRUPTED, EXIT_UNREACHABLE, EXIT_USAGE
from tests import ROOT

COMMANDS = (
    "list",
    "status",
    "watch",
    "logs",
    "loss",
    "cost",
    "artifacts",
    "pull",
    "chat",
    "doctor",
    "rm",
    "reap",
)


def help_of(*words: str) -> str:
    return (
        CliRunner().invoke(app, [*words, "--help"], terminal_width=80, env={"COLUMNS": "80"}).output
    )


def test_the_help_names_every_command_and_every_exit_code() -> None:
    text = help_of()
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.MULTILINE), command
    for code in ("0", "1", "2", "3", "4", "5", "130"):
        assert re.search(rf"\b{code} \w", text), code
    assert "..." not in text.partition("\n")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_and_fits_80_columns(command: str) -> None:
    text = help_of(command)
    assert re.search(rf"Example: python -m runs {command} ", text)
    assert "--json" in text
    assert max(len(line) for line in text.splitlines()) <= 80


# doctor reports it as a finding, rm asks for a name first, reap works when every state is lost
@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ("doctor", "rm", "reap")])
def test_without_pulumi_it_says_what_to_do(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", ["runs", command])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_USAGE
    told = capsys.readouterr()
    assert "pulumi is not on PATH" in told.err
    assert told.out == ""


def test_an_address_where_nobody_is_exits_5(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("R2_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("R2_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("R2_SECRET_ACCESS_KEY", "planted-secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(sys, "argv", ["runs", "list", "--bucket", "b"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_UNREACHABLE
    told = capsys.readouterr().err
    assert "nothing answers at http://127.0.0.1:9" in told
    assert "planted-secret" not in told


def test_rm_does_not_choose_a_run_by_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["runs", "rm", "--yes", "--bucket", "b"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_USAGE
    assert "which run" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m runs --help | head -n 1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.stderr == ""
    assert done.stdout.startswith("Usage: python -m runs")


def test_ctrl_c_ends_with_130_and_leaves_the_run_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runs.commands.watch.Source", interrupt)
    monkeypatch.setattr(sys, "argv", ["runs", "watch"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_INTERRUPTED
    assert "the run goes on" in capsys.readouterr().err


def test_two_forms_of_one_answer_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["runs", "loss", "--json", "--csv", "--bucket", "b"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == EXIT_USAGE
    assert "--json and --csv" in capsys.readouterr().err


def test_every_remedy_names_a_command_that_can_be_typed() -> None:
    for path in sorted((ROOT / "runs").rglob("*.py")):
        _, _, code = path.read_text().removeprefix('"""').partition('"""')
        assert re.findall(rf"[`:] ?runs (?:{'|'.join(COMMANDS)})\b.*", code) == [], path.name
