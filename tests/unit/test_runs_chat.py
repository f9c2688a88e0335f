"""Talking with a model: events of the OpenAI shape, and each way in which there is no chat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from runs.chat import Chat, Message, NoChatError, pieces
from runs.errors import RefusedError, RunsError, UnreachableError
from runs.options import harmless

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
        (401, RefusedError, "refused the access token"),
        (403, RefusedError, "refused the access token"),
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


def test_a_model_cannot_steer_the_terminal() -> None:
    assert harmless("a\x1b]0;t\x07b\n\tc é") == "a]0;tb\n\tc é"
