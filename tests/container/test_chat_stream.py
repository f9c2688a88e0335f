"""Tokens reach who asked as the model says them; an answer that is cut does not look whole."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from container.contract.clock import Clock
from container.contract.recipe import Chat
from container.nanochat.chat import Server, Speaker
from container.telemetry.run_status import LiveStatus
from container.web import model_server
from container.web.model_server import ChatError, ChatServer
from container.web.status_page import StatusPage
from tests.container.conftest import TOKEN, wait_for
from tests.container.test_nanochat_chat import SPECIAL, Bytes

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ASK = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
FAKE_CHAT = str(Path(__file__).resolve().parent / "fake_chat.py")
DONE = 'data: {"done": true}'
TOKENS = ['data: {"token": "one"}', 'data: {"token": " two"}']
CHUNKS = [
    f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}"
    for text in ("one", " two")
]


class Model:
    """A model's process that says one event, and the others once it is let."""

    def __init__(self, events: list[str], *, chunked: bool, cut: bool = False) -> None:
        self.released = threading.Event()
        self.asked: list[dict[str, Any]] = []
        self.who_asked_left = threading.Event()
        model = self

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1" if chunked else "HTTP/1.0"

            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                model.asked.append(json.loads(self.rfile.read(size)))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                if chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.send_header("Connection", "close")
                self.end_headers()
                try:
                    for event in events:
                        self.say(f"{event}\n\n".encode())
                        assert model.released.wait(30)
                    if not cut:
                        self.say(b"")
                except ConnectionError:
                    model.who_asked_left.set()

            def say(self, part: bytes) -> None:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def end(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Start = Callable[..., Model]


@pytest.fixture
def model() -> Iterator[Start]:
    running: list[Model] = []

    def start(events: list[str], *, chunked: bool = True, cut: bool = False) -> Model:
        running.append(Model(events, chunked=chunked, cut=cut))
        return running[-1]

    yield start
    for one in running:
        one.end()


def client(monkeypatch: pytest.MonkeyPatch, port: int, *, dialect: str = "nanochat") -> ChatServer:
    """Return the client of a process that is there already."""
    monkeypatch.setattr(model_server, "_free_port", lambda: port)
    description = Chat(argv=(), dialect=dialect, start_limit_s=20)  # type: ignore[arg-type]
    return ChatServer(
        description, model="main-d2", command=lambda _: ((), {}, "."), on_line=lambda _: None
    )


@pytest.fixture
def page() -> Iterator[StatusPage]:
    live_status = LiveStatus(
        run="main", recipe="fake", price_usd_per_hour=Decimal(1), clock=Clock()
    )
    one = StatusPage(live_status, port=0, access_token=TOKEN)
    one.start()
    yield one
    one.stop()


def ask(page: StatusPage, path: str = "/v1/chat/completions", **members: Any) -> requests.Response:
    return requests.post(
        f"http://127.0.0.1:{page.port}{path}",
        json={**ASK, **members},
        headers=HEADERS,
        stream=True,
        timeout=10,
    )


def events(answer: requests.Response) -> Iterator[dict[str, Any]]:
    for line in answer.iter_lines(chunk_size=1):
        if line.startswith(b"data: {"):
            yield json.loads(line[6:])


def text_of(event: dict[str, Any]) -> str:
    if "choices" in event:
        return event["choices"][0]["delta"].get("content", "")
    return event.get("token", "")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("dialect", "path", "said"),
    [
        ("nanochat", "/v1/chat/completions", [*TOKENS, DONE]),
        ("nanochat", "/chat/completions", [*TOKENS, DONE]),
        ("openai", "/v1/chat/completions", [*CHUNKS, "data: [DONE]"]),
    ],
)
def test_a_token_arrives_before_the_next_one_is_said(
    model: Start,
    page: StatusPage,
    monkeypatch: pytest.MonkeyPatch,
    dialect: str,
    path: str,
    said: list[str],
    chunked: bool,
) -> None:
    """Reading whole buffers, the client waited for 4096 bytes or the end of the answer."""
    process = model(said, chunked=chunked)
    page.chat.server = client(monkeypatch, process.port, dialect=dialect)
    coming = events(ask(page, path))
    first = next(event for event in coming if text_of(event))
    assert (text_of(first), process.released.is_set()) == ("one", False)
    process.released.set()
    assert "".join(text_of(event) for event in coming) == " two"


def test_our_own_server_says_a_token_before_the_engine_has_the_next(
    page: StatusPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    class Engine:
        def generate(self, _: list[int], **__: Any) -> Iterator[tuple[list[int], list[int]]]:
            yield [ord("a")], [1]
            assert released.wait(30)
            yield [ord("b")], [1]
            yield [SPECIAL["<|assistant_end|>"]], [1]

    server = Server(("127.0.0.1", 0), Speaker(Engine(), Bytes()))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        page.chat.server = client(monkeypatch, server.server_port)
        coming = events(ask(page))
        assert text_of(next(event for event in coming if text_of(event))) == "a"
        released.set()
        assert [text_of(event) for event in coming] == ["b", ""]
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("tokens", [TOKENS, []])
def test_the_first_delta_names_the_role_and_the_last_says_why_the_answer_ended(
    model: Start, monkeypatch: pytest.MonkeyPatch, tokens: list[str]
) -> None:
    process = model([*tokens, DONE])
    process.released.set()
    status, chunks = client(monkeypatch, process.port).complete(ASK)
    *said, done = b"".join(chunks).decode().split("\n\n")[:-1]
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in said]
    assert (status, done) == (200, "data: [DONE]")
    roles = [choice["delta"].get("role") for choice in choices]
    assert roles == ["assistant", *[None] * len(tokens)]
    reasons = [choice["finish_reason"] for choice in choices]
    assert reasons == [*[None] * len(tokens), "stop"]


@pytest.mark.parametrize(
    ("done", "most_tokens", "reason"),
    [
        (DONE, 3, "stop"),
        (DONE, 2, "length"),
        (DONE, None, "stop"),
        ('data: {"done": true, "finish_reason": "length"}', 5, "length"),
        ('data: {"done": true, "finish_reason": "stop"}', 2, "stop"),
    ],
)
def test_an_answer_that_reached_its_limit_says_so(
    model: Start,
    monkeypatch: pytest.MonkeyPatch,
    done: str,
    most_tokens: int | None,
    reason: str,
) -> None:
    process = model([*TOKENS, done])
    process.released.set()
    asked = {**ASK, "stream": False, "max_tokens": most_tokens}
    _, chunks = client(monkeypatch, process.port).complete(asked)
    (choice,) = json.loads(b"".join(chunks))["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("one two", reason)
    assert process.asked[0]["max_tokens"] == (most_tokens or model_server.DEFAULT_MOST_TOKENS)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_broke_off_is_an_error_and_not_a_short_answer(
    model: Start, page: StatusPage, monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    """The stream ended with "stop" and [DONE], as if the model had said all."""
    process = model(TOKENS, chunked=chunked, cut=True)
    process.released.set()
    server = client(monkeypatch, process.port)
    page.chat.server = server
    *_, last = events(ask(page))
    assert "broke off" in last["error"]["message"]
    assert ask(page, stream=False).status_code == 502
    with pytest.raises(ChatError, match="broke off"):
        server.complete({**ASK, "stream": False})


def test_an_engine_that_failed_breaks_our_own_servers_answer_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Engine:
        def generate(self, _: list[int], **__: Any) -> Iterator[tuple[list[int], list[int]]]:
            yield [ord("a")], [1]
            raise RuntimeError("CUDA error")

    server = Server(("127.0.0.1", 0), Speaker(Engine(), Bytes()))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        one = client(monkeypatch, server.server_port)
        for _ in range(2):  # its turn has ended: the next one is answered
            with pytest.raises(ChatError, match="broke off"):
                one.complete({**ASK, "stream": False})
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    wait_for(lambda: "CUDA error" in capsys.readouterr().err)  # the log tells why


def test_the_model_stops_when_who_asked_has_left(
    model: Start, page: StatusPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request at a time is answered: the next would wait for an answer that nobody reads."""
    process = model(TOKENS * 500_000)
    page.chat.server = client(monkeypatch, process.port)
    answer = ask(page)
    next(events(answer))
    answer.close()
    process.released.set()
    assert process.who_asked_left.wait(20)


def test_a_chat_process_that_died_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_server, "RESTART_PAUSES_S", (0.0,))
    lines: list[str] = []
    starts: list[int] = []

    def command(port: int) -> tuple[list[str], dict[str, str], str]:
        starts.append(port)
        if len(starts) == 1:
            return [sys.executable, "-c", "print('no memory'); raise SystemExit(3)"], {}, "."
        return [sys.executable, FAKE_CHAT, str(port)], {}, str(tmp_path)

    description = Chat(argv=(), dialect="openai", start_limit_s=20)
    server = ChatServer(description, model="main-d2", command=command, on_line=lines.append)
    before = set(threading.enumerate())
    assert server.start()
    try:
        assert "no memory" in lines
        assert "the chat process ended with 3; starting it again" in lines
        _, chunks = server.complete({**ASK, "stream": False})
        assert json.loads(b"".join(chunks))["choices"][0]["message"]["content"] == "hi"
    finally:
        server.stop()
    wait_for(lambda: set(threading.enumerate()) <= before, what="nothing of it runs on")
    assert len(starts) == 2
