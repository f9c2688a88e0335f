"""Serves the finished model: keeps the recipe's chat process alive, speaks OpenAI before it.

The process listens on loopback only; who may ask is the status page's concern.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, cast

import urllib3

from container.contract.recipe import Chat
from container.telemetry.nanochat_log import plain

Chunks = Generator[bytes, None, None]
"""An answer as it comes; closing it lets the process off the rest."""

# Of a process that ended, not of a bucket that does not answer: hence not `storage.retry`.
RESTART_PAUSES_S = (1.0, 5.0, 30.0)
READ_BYTES = 4096  # at most; what is there is taken at once
DEFAULT_MOST_TOKENS = 512  # nanochat's own


class ChatError(Exception):
    """The model's process does not answer."""


class ChatServer:
    """One chat process and the client to it."""

    def __init__(
        self,
        chat: Chat,
        *,
        model: str,
        command: Callable[[int], tuple[Sequence[str], Mapping[str, str], str]],
        on_line: Callable[[str], None],
    ) -> None:
        self.model = model
        self._chat = chat
        self._command = command
        self._on_line = on_line
        self._port = _free_port()
        self._process: subprocess.Popen[str] | None = None
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._pool = urllib3.PoolManager(retries=False)
        self._url = f"http://127.0.0.1:{self._port}"

    def start(self) -> bool:
        """Start the process; return whether it answered in time."""
        threading.Thread(target=self._keep_alive, name="chat", daemon=True).start()
        deadline = time.monotonic() + self._chat.start_limit_s
        while time.monotonic() < deadline and not self._stopping.wait(0.2):
            try:
                if self._pool.request("GET", f"{self._url}/health", timeout=2.0).status == 200:
                    return True
            except urllib3.exceptions.HTTPError:
                continue
        return False

    def stop(self) -> None:
        """End the process and all its children."""
        with self._starting:  # a process that is about to start is not missed
            self._stopping.set()
            process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def page(self, path: str) -> bytes | None:
        """Return a page that the process itself has, None when it has none."""
        if self._chat.dialect != "nanochat":
            return None
        try:
            answer = self._pool.request("GET", self._url + path, timeout=10.0)
        except urllib3.exceptions.HTTPError:
            return None
        return answer.data if answer.status == 200 else None

    def pass_on(self, body: dict[str, Any]) -> tuple[int, Chunks]:
        """Answer a request in nanochat's own dialect; raises ChatError."""
        if self._chat.dialect != "nanochat":
            raise ChatError("this model speaks at /v1/chat/completions only")
        answer = self._post("/chat/completions", _for_nanochat(body))
        return _passed_on(answer, streams=True)

    def complete(self, body: dict[str, Any]) -> tuple[int, Chunks]:
        """Answer an OpenAI chat request; raises ChatError."""
        if self._chat.dialect == "openai":
            answer = self._post("/v1/chat/completions", body)
            return _passed_on(answer, streams=bool(body.get("stream")))
        asked = _for_nanochat(body)
        if asked.get("max_tokens") is None:
            asked["max_tokens"] = DEFAULT_MOST_TOKENS  # said, so that reaching it is known
        answer = self._post("/chat/completions", asked)
        if answer.status != 200:
            return answer.status, _one(_refusal(b"".join(_as_it_comes(answer))))
        said = _Said(answer, most_tokens=asked["max_tokens"])
        if body.get("stream"):
            return 200, _with_its_failure(_stream(said, self.model))
        return 200, _one(_whole(said, self.model))

    def _post(self, path: str, body: dict[str, Any]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(
                "POST",
                self._url + path,
                body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                timeout=urllib3.Timeout(connect=5.0, read=300.0),
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ChatError(
                f"the model's process does not answer: {type(error).__name__}"
            ) from None

    def _keep_alive(self) -> None:
        for pause_s in (*RESTART_PAUSES_S, *[RESTART_PAUSES_S[-1]] * 1000):
            try:
                process = self._started()
            except OSError as error:
                self._on_line(f"cannot start the chat: {error.strerror}")
                return
            if process is None:
                return
            if process.stdout is not None:
                for line in process.stdout:
                    self._on_line(plain(line))
            code = process.wait()
            if self._stopping.is_set():
                return
            self._on_line(f"the chat process ended with {code}; starting it again")
            self._stopping.wait(pause_s)

    def _started(self) -> subprocess.Popen[str] | None:
        argv, env, cwd = self._command(self._port)
        with self._starting:
            if self._stopping.is_set():
                return None
            self._process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**env, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            return self._process


def _for_nanochat(body: dict[str, Any]) -> dict[str, Any]:
    """Keep what nanochat's chat_web knows; it streams always.

    It refuses a system message: that is put before what the user says first, as in its training.
    """
    names = ("temperature", "max_tokens", "top_k")
    asked = {name: body[name] for name in names if name in body}
    if "max_completion_tokens" in body:
        asked["max_tokens"] = body["max_completion_tokens"]
    messages = [_with_text(message) for message in cast("list[Any]", body.get("messages") or [])]
    if len(messages) > 1 and messages[0].get("role") == "system":
        first = f"{messages[0].get('content')}\n\n{messages[1].get('content')}"
        messages[:2] = [{**messages[1], "content": first}]
    return {**asked, "messages": messages}


def _with_text(message: Any) -> dict[str, Any]:
    """Join the parts of a message's text; what else is wrong the process refuses."""
    members = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
    content: object = members.get("content")
    if not isinstance(content, list):
        return members
    parts = cast("list[object]", content)
    texts = [cast("dict[str, object]", one).get("text") for one in parts if isinstance(one, dict)]
    return {**members, "content": "".join(text for text in texts if isinstance(text, str))}


def _refusal(answer: bytes) -> bytes:
    """Return what nanochat says against a request, where OpenAI's clients look for it."""
    try:
        detail: object = json.loads(answer)
    except ValueError:
        detail = answer.decode(errors="replace")
    if isinstance(detail, dict):
        detail = cast("dict[str, object]", detail).get("detail")
    message = detail if isinstance(detail, str) else json.dumps(detail)
    return json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()


def _passed_on(answer: urllib3.BaseHTTPResponse, *, streams: bool) -> tuple[int, Chunks]:
    chunks = _as_it_comes(answer)
    if streams and answer.status == 200:
        return 200, _with_its_failure(chunks)
    return answer.status, _one(b"".join(chunks))


def _one(whole: bytes) -> Chunks:
    yield whole


def _as_it_comes(answer: urllib3.BaseHTTPResponse) -> Chunks:
    """Yield what has arrived, as soon as something has; raises ChatError when the answer is cut.

    `stream` and `read` wait for a whole buffer unless the answer is chunked: the first token would
    come with the last.
    """
    try:
        while chunk := answer.read1(READ_BYTES):
            yield chunk
    except urllib3.exceptions.HTTPError:
        raise ChatError("the model's process broke off in the middle of its answer") from None
    finally:
        answer.close()


def _with_its_failure(chunks: Chunks) -> Chunks:
    """Tell of a failure in the stream: its status has been sent long ago."""
    try:
        yield from chunks
    except ChatError as error:
        failure = {"error": {"message": str(error), "type": "trainstack"}}
        yield f"\n\ndata: {json.dumps(failure)}\n\n".encode()


class _Said:
    """The pieces of nanochat's answer; after the last one, why it ended there."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, *, most_tokens: object) -> None:
        self.finish_reason = ""
        self._answer = answer
        self._most = most_tokens if isinstance(most_tokens, int) else DEFAULT_MOST_TOKENS

    def __iter__(self) -> Iterator[str]:
        pieces = 0
        for event in _events(self._answer):
            token = event.get("token")
            if event.get("done"):
                # chat_web does not say why. A piece is one token or several, so that as many
                # pieces as tokens were allowed means that the limit was reached.
                known = "length" if pieces >= self._most else "stop"
                self.finish_reason = str(event.get("finish_reason") or known)
            elif isinstance(token, str):
                pieces += 1
                yield token
        if not self.finish_reason:
            raise ChatError("the model's process broke off in the middle of its answer")


def _events(answer: urllib3.BaseHTTPResponse) -> Iterator[dict[str, object]]:
    rest = b""
    for chunk in _as_it_comes(answer):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not line.startswith(b"data: "):
                continue
            try:
                event: object = json.loads(line[6:])
            except ValueError:
                continue
            if isinstance(event, dict):
                yield cast("dict[str, object]", event)


def _stream(said: _Said, model: str) -> Chunks:
    head = {**_head(model), "object": "chat.completion.chunk"}

    def chunk(delta: dict[str, str], finish_reason: str | None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n".encode()

    role = {"role": "assistant"}  # in the first delta, as OpenAI's clients expect
    for token in said:
        yield chunk({**role, "content": token}, None)
        role = {}
    yield chunk(role, said.finish_reason)
    yield b"data: [DONE]\n\n"


def _whole(said: _Said, model: str) -> bytes:
    message = {"role": "assistant", "content": "".join(said)}
    choice = {"index": 0, "message": message, "finish_reason": said.finish_reason}
    return json.dumps({**_head(model), "object": "chat.completion", "choices": [choice]}).encode()


def _head(model: str) -> dict[str, object]:
    return {"id": f"chatcmpl-{secrets.token_hex(8)}", "created": int(time.time()), "model": model}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
