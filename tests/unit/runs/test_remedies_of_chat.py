"""Where there is no chat, what the message says instead is typed, and answers."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.unit.runs.pulumi_double import PulumiDouble
from tests.unit.runs.test_model_client import event, machine
from tests.unit.runs.test_remedies import PREFIX, run
from tests.unit.runs.typed import Ended, typed

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def pulumi(tmp_path: Path) -> PulumiDouble:
    return PulumiDouble(tmp_path)


def up(pulumi: PulumiDouble, url: str, *, holds: str = "right") -> None:
    """What `pulumi up` leaves: the outputs of the machine that there is."""
    outputs = {"bucket": "b", "r2_prefix": PREFIX, "status_url": url}
    pulumi.stack(outputs=outputs, secret_outputs={"access_token": holds})


def chat(pulumi: PulumiDouble, *words: str) -> Ended:
    return asked(pulumi, "chat", *words, "--stack", "dev")


def asked(pulumi: PulumiDouble, *words: str) -> Ended:
    return typed(run(), *words, environ={"PATH": pulumi.path})


@pytest.mark.parametrize(
    ("status", "said", "names"),
    [
        (None, "no status_url", "status pull"),
        (0, "no answer from", "status pull"),
        (404, "keeps no chat", "pull"),
        (503, "is not ready", "status"),
        (502, "answered 502", "status logs"),
    ],
)
def test_without_a_chat_the_commands_that_are_named_answer_about_the_same_run(
    pulumi: PulumiDouble, tmp_path: Path, status: int | None, said: str, names: str
) -> None:
    with machine(status or 500) as (url, _):
        up(pulumi, "" if status is None else url if status else NOBODY)
        refused = chat(pulumi, "-p", "Why?")
        assert said in refused.err
        commands = re.findall(r"python -m runs ([^`]+)", refused.err)
        assert [command.split()[0] for command in commands] == names.split()
        for command in commands:
            to = ("--to", str(tmp_path / "copy")) if command.startswith("pull") else ()
            ended = asked(pulumi, *shlex.split(command), *to)
            assert ended.code == 0, ended.err
    if "pull" in names:
        assert (tmp_path / "copy/report/report.md").is_file()


def test_a_token_that_is_refused_is_another_after_the_update_that_is_told(
    pulumi: PulumiDouble,
) -> None:
    with machine(401) as (url, _):
        up(pulumi, url, holds="of-a-machine-before")
        refused = chat(pulumi, "-p", "Why?")
    assert "after `pulumi up --stack dev` the stack has the right one" in refused.err
    with machine(200, event("So.")) as (url, sent):
        up(pulumi, url)
        assert chat(pulumi, "-p", "Why?").out == "So.\n"
    assert sent[0][1] == "Bearer right"


@pytest.mark.parametrize(
    ("words", "at_a_terminal", "said"),
    [(("--json",), True, "Say --prompt too"), ((), False, "say --prompt, or give one by stdin")],
)
def test_a_prompt_that_is_missing_is_said_as_the_message_asks(
    pulumi: PulumiDouble,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    at_a_terminal: bool,
    said: str,
) -> None:
    def stdin(text: str) -> None:
        keyboard = io.StringIO(text)
        monkeypatch.setattr(keyboard, "isatty", lambda: at_a_terminal)
        monkeypatch.setattr(sys, "stdin", keyboard)

    with machine(200, event("So.")) as (url, _):
        up(pulumi, url)
        stdin("")
        refused = chat(pulumi, *words)
        assert (refused.code, said in refused.err) == (2, True)
        (option,) = re.findall(r"--prompt", refused.err)
        assert "So." in chat(pulumi, *words, option, "Why?").out
        if not at_a_terminal:
            stdin("Why?\n")
            assert "So." in chat(pulumi, *words).out
