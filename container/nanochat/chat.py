"""Serves the finished nanochat model on loopback, in nanochat's dialect; the page is before it.

    python -m container.nanochat.chat -i sft -g d20 --host 127.0.0.1 -p 8001

Until July 2026 nanochat has a server of its own, scripts.chat_web: where it is there, this becomes
it. Later commits have the engine only; here it answers on the same two paths. Standard library, as
those commits' environments hold no web framework.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import random
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, cast

MOST_TOKENS = 4096
MOST_BODY_BYTES = 256 * 1024
CUT_CHARACTER = "\ufffd"  # what an incomplete UTF-8 sequence is decoded to


class BadRequestError(ValueError):
    """The request cannot be answered; the message is for who sent it."""


class Tokenizer(Protocol):
    """What is used of nanochat's tokenizer."""

    def encode(self, text: str) -> list[int]: ...
    def encode_special(self, text: str) -> int: ...
    def decode(self, ids: list[int]) -> str: ...
    def get_bos_token_id(self) -> int: ...


class Speaker:
    """A loaded model; answers one request at a time, the next ones wait."""

    def __init__(self, engine: Any, tokenizer: Tokenizer) -> None:
        self._engine = engine
        self._tokenizer = tokenizer
        self._turn = threading.Lock()

    def say(self, asked: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Yield the answer as events, the last says why it ended; `asked` is from `checked`."""
        ends = (self._tokenizer.encode_special("<|assistant_end|>"), self._bos)
        said = 0

        def counted(ids: Iterable[int]) -> Iterator[int]:
            nonlocal said
            for one in ids:
                said += 1
                yield one

        with self._turn:
            columns: Iterator[tuple[list[int], object]] = self._engine.generate(
                self._prompt(asked["messages"]),
                num_samples=1,
                max_tokens=asked["max_tokens"],
                temperature=asked["temperature"],
                top_k=asked["top_k"],
                seed=random.randint(0, 2**31 - 1),  # noqa: S311  # which answer, no secret
            )
            ids = (column[0] for column, _ in columns)
            for text in pieces(counted(until(ids, ends)), self._tokenizer.decode):
                yield {"token": text}
        # The token that ends an answer counts too: one that ended by itself has said fewer.
        yield {"done": True, "finish_reason": "length" if said >= asked["max_tokens"] else "stop"}

    @property
    def _bos(self) -> int:
        return self._tokenizer.get_bos_token_id()

    def _prompt(self, messages: list[dict[str, str]]) -> list[int]:
        special = self._tokenizer.encode_special
        ids = [self._bos]
        for message in messages:
            role = message["role"]
            ids.append(special(f"<|{role}_start|>"))
            ids += self._tokenizer.encode(message["content"])
            ids.append(special(f"<|{role}_end|>"))
        return [*ids, special("<|assistant_start|>")]


def until(ids: Iterable[int], ends: tuple[int, ...]) -> Iterator[int]:
    """Yield tokens up to the first that ends the answer."""
    for one in ids:
        if one in ends:
            return
        yield one


def pieces(ids: Iterable[int], decode: Callable[[list[int]], str]) -> Iterator[str]:
    """Yield text; a character that several tokens make comes out when it is whole."""
    waiting: list[int] = []
    for one in ids:
        waiting.append(one)
        text = decode(waiting)
        if not text.endswith(CUT_CHARACTER):
            yield text
            waiting.clear()
    if waiting:
        yield decode(waiting)


def checked(body: bytes) -> dict[str, Any]:
    """Return what is asked, with defaults filled in; raises BadRequestError."""
    try:
        content: object = json.loads(body)
    except ValueError:
        raise BadRequestError("the body is no JSON") from None
    asked = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    messages: object = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("messages must be a list with at least one message")
    try:
        return {
            "messages": [_message(message) for message in cast("list[Any]", messages)],
            "max_tokens": min(max(int(asked.get("max_tokens") or 512), 1), MOST_TOKENS),
            "temperature": max(float(asked.get("temperature", 0.8)), 0.0),
            "top_k": max(int(asked.get("top_k") or 50), 1),
        }
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRequestError(f"a member is not what it should be: {error}") from None


def _message(item: Any) -> dict[str, str]:
    message = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    role, content = message.get("role"), message.get("content")
    if role not in ("user", "assistant"):
        raise BadRequestError("each message needs a role: user or assistant")
    if not isinstance(content, str):
        raise BadRequestError("each message needs a content that is text")
    return {"role": role, "content": content}


class Server(ThreadingHTTPServer):
    """GET /health; POST /chat/completions, answered as server-sent events."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], speaker: Speaker) -> None:
        super().__init__(address, _Request)
        self.speaker = speaker


class _Request(BaseHTTPRequestHandler):
    # Chunks are of 1.1: with them an answer that was cut is told from one that ended.
    protocol_version = "HTTP/1.1"
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(HTTPStatus.OK, {"status": "ok", "ready": True})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"detail": "not found"})

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if self.path != "/chat/completions":
            self._answer(HTTPStatus.NOT_FOUND, {"detail": "not found"})
            return
        if length > MOST_BODY_BYTES:
            detail = f"the body has more than {MOST_BODY_BYTES} bytes"
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"detail": detail})
            return
        try:
            asked = checked(self.rfile.read(length))
        except BadRequestError as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"detail": str(error)})
            return
        self._stream(asked)

    def _stream(self, asked: dict[str, Any]) -> None:
        chunked = self.request_version != "HTTP/1.0"
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        # Closing: the model's turn ends here when who asked has gone.
        with (
            contextlib.suppress(ConnectionError),
            contextlib.closing(self.server.speaker.say(asked)) as events,
        ):
            for event in events:
                line = f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
                self._write(line, chunked=chunked)
            self._write(b"", chunked=chunked)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing: requests come from the page alone."""

    def _write(self, part: bytes, *, chunked: bool) -> None:
        """Send at once; an empty part ends the answer."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        self.wfile.flush()

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")  # what was asked may not have been read
        self.end_headers()
        self.wfile.write(body)


def main(argv: list[str]) -> int:
    """Load the model and serve it until killed."""
    if importlib.util.find_spec("scripts.chat_web"):
        os.execv(sys.executable, [sys.executable, "-m", "scripts.chat_web", *argv])  # noqa: S606
    arguments = arguments_parser().parse_args(argv)
    common = importlib.import_module("nanochat.common")
    device = common.compute_init(common.autodetect_device_type())[-1]
    loading = importlib.import_module("nanochat.checkpoint_manager")
    model, tokenizer, _ = loading.load_model(
        arguments.source, device, phase="eval", model_tag=arguments.model_tag
    )
    engine = importlib.import_module("nanochat.engine").Engine(model, tokenizer)
    server = Server((arguments.host, arguments.port), Speaker(engine, tokenizer))
    print(f"Serving {arguments.model_tag} on http://{arguments.host}:{server.server_port}")
    server.serve_forever()
    return 0


def arguments_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; its flags are those of scripts.chat_web."""
    parser = argparse.ArgumentParser(description="Serve the chat model")
    parser.add_argument("-i", "--source", default="sft", choices=["sft", "rl"])
    parser.add_argument("-g", "--model-tag", default=None)
    parser.add_argument("-p", "--port", type=int, default=8000)
    parser.add_argument("--host", default="127.0.0.1")
    return parser


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
