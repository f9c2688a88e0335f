"""What can go wrong between a run and its store, on demand: an HTTP proxy before the S3 server.

A stand-in for a bad network, for tests and benchmarks. It passes requests on unchanged (signatures
cover the Host header), but can be slow, refuse a share of them, hold one back, or be away.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import threading
from collections.abc import AsyncIterator, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

REFUSAL = b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>planted</Message></Error>'
LONGEST_CALL_S = 600.0  # the clients have their own limits
# The store is spoken to in plain HTTP; httpx would load all CA certificates at each request, 30 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
HOP_BY_HOP = (b"connection", b"transfer-encoding", b"expect", b"keep-alive")

Message = MutableMapping[str, Any]


class _ClientGoneError(Exception):
    """The client closed its connection before its request was whole."""


@dataclass(kw_only=True)
class Hold:
    """Requests that wait before they are passed on; `reached` is set when the first does."""

    wanted: Callable[[str, str], bool]  # method, path with query
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


@dataclass(kw_only=True)
class Faults:
    """What is wrong now; may be changed at any time, from any thread."""

    bytes_per_s: float = 0.0  # each way, of all connections together; 0: as fast as it goes
    refused_share: float = 0.0  # of all requests, answered 503 SlowDown
    refused_with: int = 503  # 403: as a token that does not work yet
    hold: Hold | None = None


class FaultyStore:
    """The proxy; `stop` and `start` again, on the same port, are an outage."""

    def __init__(self, upstream: str, *, host: str = "127.0.0.1", seed: int = 0) -> None:
        self.faults = Faults()
        self._upstream = httpx.URL(upstream)
        self._host = host
        self._port = 0
        self._chance = random.Random(seed)  # noqa: S311  # which requests are refused
        self._up, self._down = _Line(), _Line()
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{self._host}:{self._port}"

    def hold(self, wanted: Callable[[str, str], bool]) -> Hold:
        """Keep the requests that are wanted from arriving, until released or until the end."""
        self.faults.hold = Hold(wanted=wanted)
        return self.faults.hold

    def start(self) -> None:
        """Listen; returns when it does. Raises RuntimeError when the port is taken."""
        config = uvicorn.Config(
            self._app,
            host=self._host,
            port=self._port,
            log_config=None,
            access_log=False,
            interface="asgi3",
            lifespan="off",
            ws="none",
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        # A client that was killed in the middle is what this is for; it is no error of ours.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError(f"cannot listen on {self._host}:{self._port}")
            self._thread.join(0.02)
        self._port = self._server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Cut all connections and stop listening."""
        if self._server is not None and self._thread is not None:
            if self.faults.hold:
                self.faults.hold.released.set()
            self._server.should_exit = self._server.force_exit = True
            self._thread.join(10)

    def __enter__(self) -> FaultyStore:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _app(self, scope: Message, receive: Any, send: Any) -> None:
        path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        if self._chance.random() < self.faults.refused_share:
            # The body was not read, and after "Expect: 100-continue" may never come.
            closing = [(b"content-length", b"%d" % len(REFUSAL)), (b"connection", b"close")]
            await _answer(send, self.faults.refused_with, closing)
            await send({"type": "http.response.body", "body": REFUSAL})
            return
        hold = self.faults.hold
        if hold is not None and hold.wanted(scope["method"], path.decode()):
            hold.reached.set()
            await asyncio.to_thread(hold.released.wait)
        headers = [one for one in scope["headers"] if one[0] not in HOP_BY_HOP]
        has_body = any(name == b"content-length" and value != b"0" for name, value in headers)
        async with httpx.AsyncClient(
            timeout=LONGEST_CALL_S, trust_env=False, verify=NO_TLS
        ) as client:
            client.headers.clear()
            request = client.build_request(
                scope["method"],
                self._upstream.copy_with(raw_path=path),
                headers=headers,
                content=self._body(receive) if has_body else None,
            )
            try:
                answer = await client.send(request, stream=True)
            except (httpx.HTTPError, _ClientGoneError):
                return  # uvicorn answers 500: as a gateway whose server is away
            kept = [one for one in answer.headers.raw if one[0].lower() not in HOP_BY_HOP]
            await _answer(send, answer.status_code, kept)
            async for chunk in answer.aiter_raw():
                await self._down.take(len(chunk), self.faults.bytes_per_s)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _body(self, receive: Any) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _ClientGoneError
            body, more = message.get("body", b""), message.get("more_body", False)
            await self._up.take(len(body), self.faults.bytes_per_s)
            yield body


class _Line:
    """One direction of a network that all connections share."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def take(self, size: int, bytes_per_s: float) -> None:
        """Wait until so many bytes have gone over the line."""
        if not bytes_per_s:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / bytes_per_s
        if self._free_at - now > 0.002:
            await asyncio.sleep(self._free_at - now)


async def _answer(send: Any, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
