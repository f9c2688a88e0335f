"""Asks io.net what can be asked without buying or changing anything, and keeps how it answered.

Every call is a GET, sent once, bounded in time and in what is read of it. Raises nothing: that a
call failed is an answer too.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Any

import requests

from components.http_session import make_session
from components.ionet.client import ACCOUNT_BASE, CONNECT_TIMEOUT_S
from container.transport.network import reason_of
from runs.waits import waiting

READ_FOR_S = 30.0  # the service has taken that long
LOG_FOR_S = 10.0
MOST_BYTES = 4_000_000
MADE_UP_KEY = "no-key-of-anybody"
_OF_LIMITS = ("ratelimit", "rate-limit", "retry-after")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How one call was answered; `failed` says why there was no answer, "" when there was one."""

    call: str
    status: int = 0
    seconds: float = 0.0
    content_type: str = ""
    limits: tuple[str, ...] = ()
    body: Any = None
    lines: tuple[str, ...] = ()
    ended: bool = True  # the stream ended by itself
    failed: str = ""


class Asker:
    """One account's GETs."""

    def __init__(self, key: str, *, base_url: str) -> None:
        self._key = key
        self._base = base_url.rstrip("/") + ACCOUNT_BASE

    def ask(
        self, path: str, *, query: dict[str, str] | None = None, key: str | None = None
    ) -> Answer:
        """Return the answer to GET `path`, its JSON decoded; `key` is one to be refused."""
        words = " ".join(f"{name}={value}" for name, value in (query or {}).items())
        call = f"GET {path} {words}".strip() + (" with a made-up key" if key else "")
        answer, raw = self._asked(call, path, query or {}, key=key or self._key, for_s=READ_FOR_S)
        return replace(answer, body=_decoded(raw))

    def listen(self, path: str) -> Answer:
        """Return how a log's stream is framed, by the lines that come within some seconds."""
        answer, raw = self._asked(f"GET {path}", path, {}, key=self._key, for_s=LOG_FOR_S)
        lines = raw.decode(errors="replace").splitlines()
        return replace(answer, lines=tuple(framing(line) for line in lines))

    def _asked(
        self, call: str, path: str, query: dict[str, str], *, key: str, for_s: float
    ) -> tuple[Answer, bytes]:
        try:
            with (
                waiting("io.net", at_most_s=CONNECT_TIMEOUT_S + 2 * for_s),
                make_session() as session,
                session.get(
                    self._base + path,
                    params=query,
                    headers={"x-api-key": key, "Accept": "application/json"},
                    timeout=(CONNECT_TIMEOUT_S, for_s),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                raw, ended = _read(response, for_s=for_s)
        except requests.RequestException as error:
            return Answer(call=call, failed=reason_of(error)), b""
        answer = Answer(
            call=call,
            status=response.status_code,
            seconds=response.elapsed.total_seconds(),
            content_type=response.headers.get("content-type", ""),
            limits=tuple(
                f"{name}: {value}"
                for name, value in response.headers.items()
                if any(word in name.lower() for word in _OF_LIMITS)
            ),
            ended=ended,
        )
        return answer, raw


def framing(line: str) -> str:
    """Return what kind of line of a stream it is; what it says may be anything, a key too."""
    if not line.strip():
        return "empty"
    if line.startswith(":"):
        return "comment"
    name, colon, rest = line.partition(":")
    if colon and name in {"data", "event", "id", "retry"}:
        return f"{name}: JSON" if _is_json(rest) else f"{name}: text"
    return "JSON" if _is_json(line) else "text"


def _is_json(text: str) -> bool:
    return isinstance(_decoded(text.strip().encode()), dict)


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _read(response: requests.Response, *, for_s: float) -> tuple[bytes, bool]:
    """Return what came of a body within a time and a size, and whether that was all of it."""
    raw, until = b"", time.monotonic() + for_s
    try:
        for part in response.iter_content(None):
            raw += part
            if time.monotonic() > until or len(raw) > MOST_BYTES:
                return raw, False
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return raw, False  # silent for too long, or cut
    return raw, True
