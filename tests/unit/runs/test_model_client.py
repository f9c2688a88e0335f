"""Talking with a model: events of the OpenAI shape, and each way in which there is no chat."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from runs.cli import main
from runs.errors import (
    EXIT_FAILED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    AccessRefusedError,
    RunsError,
    UnreachableError,
)
from runs.model_client import Chat, Message, NoChatError, pieces
from runs.terminal.console import harmless

QUESTION = [Message(role="user", content="Why?")]


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode()


@contextmanager
def machine(status: int, body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """Serve one answer to every POST; yield the address and what was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            asked.append((self.path, self.headers["authorization"], json.loads(raw)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", asked
        finally:
            http.shutdown()
            thread.join()


def test_an_answer_comes_piece_by_piece() -> None:
    body = b"\n\n".join([event("The "), b": ping", event("sky"), b"data: [DONE]", event("no")])
    with machine(200, body) as (url, asked):
        chat = Chat(status_url=url, token="t0ken", max_tokens=7, temperature=0.0)
        assert list(chat.say(QUESTION)) == ["The ", "sky"]
    path, authorization, sent = asked[0]
    assert path == "/v1/chat/completions"
    assert authorization == "Bearer t0ken"
    assert sent["messages"] == QUESTION
    assert (sent["stream"], sent["max_tokens"], sent["temperature"]) == (True, 7, 0.0)


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (401, AccessRefusedError, "refused the access token"),
        (403, AccessRefusedError, "refused the access token"),
        (404, NoChatError, "keepAlive"),
        (503, NoChatError, "not ready"),
        (502, UnreachableError, "502"),
        (302, UnreachableError, "302"),
    ],
)
def test_each_no_is_told_with_what_to_do(status: int, error: type[RunsError], told: str) -> None:
    with machine(status, b"secret body", location="http://127.0.0.1:9/") as (url, asked):
        with pytest.raises(error, match=told) as caught:
            list(Chat(status_url=url, token="t0ken").say(QUESTION))
        assert len(asked) == 1
    assert "t0ken" not in str(caught.value)
    assert "secret body" not in str(caught.value)
    assert "\n" in str(caught.value)


def test_a_machine_that_is_gone_is_told() -> None:
    with pytest.raises(UnreachableError, match="runs status"):
        list(Chat(status_url="http://127.0.0.1:9", token="t").say(QUESTION))


def test_the_token_is_not_in_the_repr() -> None:
    assert "t0ken" not in repr(Chat(status_url="http://m", token="t0ken"))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([event("a"), b"", event("b")], ["a", "b"]),
        ([b'data:{"choices":[{"delta":{"content":"x"}}]}'], ["x"]),
        ([b'data: {"choices":[{"message":{"content":"whole"}}]}'], ["whole"]),
        ([b'data: {"choices":[{"delta":{"role":"assistant"}}]}'], []),
        ([b'data: {"choices":[]}', b"data: not json", b"data: 7", b"event: x"], []),
        ([b'data: {"choices":[{"delta":{"content":7}}]}'], []),
    ],
)
def test_events_that_say_nothing_are_left_out(lines: list[bytes], expected: list[str]) -> None:
    assert list(pieces(lines)) == expected


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    lines = [
        b'data: {"choices": [{"delta": {"content": "half"}}]}',
        b'data: {"error": {"message": "the process died"}}',
        b"data: [DONE]",
    ]
    came = pieces(lines)
    assert next(came) == "half"
    with pytest.raises(NoChatError, match="broke off: the process died"):
        next(came)


def test_a_question_that_is_asked_again_is_answered() -> None:
    broken = [event("Be"), b'data: {"error": {"message": "the engine ended"}}']
    with pytest.raises(NoChatError, match="Ask again"):
        list(pieces(broken))
    assert list(pieces([event("Because."), b"data: [DONE]"])) == ["Because."]


def test_a_model_cannot_steer_the_terminal() -> None:
    assert harmless("a\x1b]0;t\x07b\n\tc é") == "a]0;tb\n\tc é"


@pytest.fixture
def stack_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, object]], None]:
    """Put a pulumi on PATH whose stack has these outputs, its secret only where asked for."""

    def make(outputs: dict[str, object]) -> None:
        (tmp_path / "masked.json").write_text(json.dumps({**outputs, "access_token": "[secret]"}))
        (tmp_path / "shown.json").write_text(json.dumps(outputs))
        program = tmp_path / "pulumi"
        program.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *--show-secrets*) cat {tmp_path}/shown.json;;\n'
            f"*config*) echo '{{}}';; *) cat {tmp_path}/masked.json;; esac\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return make


def outputs(url: str) -> dict[str, object]:
    return {
        "r2_prefix": "dev-main-0a1b2c3d-deadbeef",
        "status_url": url,
        "access_token": "planted-t0ken",
        "bucket": "b",
    }


def typed(monkeypatch: pytest.MonkeyPatch, *words: str, stdin: str | None = None) -> int:
    """Run `runs chat` as it is typed; None for stdin means a terminal."""
    source = io.StringIO(stdin or "")
    monkeypatch.setattr(source, "isatty", lambda: stdin is None)
    monkeypatch.setattr(sys, "stdin", source)
    monkeypatch.setattr(sys, "argv", ["runs", "chat", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("by_stdin", [True, False])
def test_a_prompt_is_answered_on_stdout_and_the_token_is_on_no_screen(
    stack_with: Callable[[dict[str, object]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    by_stdin: bool,
) -> None:
    with machine(200, event("Because\x1b[2J.")) as (url, asked):
        stack_with(outputs(url))
        words = () if by_stdin else ("--prompt", "Why?")
        assert typed(monkeypatch, *words, stdin="Why?\n" if by_stdin else None) == 0
    told = capsys.readouterr()
    assert told.out == "Because[2J.\n"
    assert "planted-t0ken" not in told.out + told.err
    assert asked[0][1] == "Bearer planted-t0ken"
    assert asked[0][2]["messages"] == QUESTION


def test_an_answer_as_json(
    stack_with: Callable[[dict[str, object]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with machine(200, event("So.")) as (url, _):
        stack_with(outputs(url))
        assert typed(monkeypatch, "-p", "Why?", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"run": "main", "prompt": "Why?", "answer": "So."}


def test_a_conversation_remembers_until_told_to_forget(
    stack_with: Callable[[dict[str, object]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = iter(["Why?", "", "And then?", "/new", "Who?"])

    def ask(_: str) -> str:
        try:
            return next(said)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", ask)
    with machine(200, event("So.")) as (url, asked):
        stack_with(outputs(url))
        assert typed(monkeypatch) == 0
    assert [len(sent["messages"]) for _, _, sent in asked] == [1, 3, 1]
    assert asked[1][2]["messages"][1] == {"role": "assistant", "content": "So."}
    assert "Talking with main" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "code", "told"), [(503, EXIT_FAILED, "not ready"), (401, EXIT_UNREACHABLE, "token")]
)
def test_a_run_without_a_chat_says_so(
    stack_with: Callable[[dict[str, object]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    code: int,
    told: str,
) -> None:
    with machine(status) as (url, _):
        stack_with(outputs(url))
        assert typed(monkeypatch, "-p", "Why?") == code
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "stdin", "told"), [("", None, "no status_url"), ("http://127.0.0.1:9", "", "no prompt")]
)
def test_what_is_missing_for_a_chat_is_named(
    stack_with: Callable[[dict[str, object]], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
    stdin: str | None,
    told: str,
) -> None:
    stack_with(outputs(url))
    assert typed(monkeypatch, stdin=stdin) == EXIT_USAGE
    assert told in capsys.readouterr().err
