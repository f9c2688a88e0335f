"""An S3 server that checks the time of each signature, as S3 does, in front of one that does not.

The real server's own limit cannot be set; machines of tests have the right time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIMIT_S = 900.0


@dataclass
class SkewedStore:
    """Holds objects in memory; this machine's clock is `ahead_s` of its own."""

    ahead_s: float
    port: int = 0
    date_wrong_by_s: float = 0.0  # what its Date lies: no correction can help
    forbids: bool = False  # whoever asks, at whatever time
    objects: dict[str, bytes] = field(default_factory=dict[str, bytes])
    refused: list[str] = field(default_factory=list[str])
    answered: list[str] = field(default_factory=list[str])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=self.ahead_s)


def _handler(store: SkewedStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stamp = self.headers.get("X-Amz-Date", "")
            signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            scope = f"/{stamp[:8]}/auto/s3/aws4_request"
            what = f"{self.command} {self.path}"
            right = abs((signed - store.now()).total_seconds()) <= LIMIT_S
            if not right or scope not in self.headers.get("Authorization", ""):
                store.refused.append(what)
                code = b"<Error><Code>RequestTimeTooSkewed</Code><Message>x</Message></Error>"
                self._send(403, code)
                return
            store.answered.append(what)
            if store.forbids:
                self._send(403, b"<Error><Code>AccessDenied</Code></Error>")
                return
            key = self.path.partition("?")[0]
            if self.command == "PUT":
                store.objects[key] = body
                self._send(200, b"", ETag='"x"')
            elif key in store.objects:
                self._send(200, store.objects[key], ETag='"x"')
            else:
                self._send(404, b"<Error><Code>NoSuchKey</Code></Error>")

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _answer  # noqa: N815

        def _send(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response_only(status)
            told = store.now() + timedelta(seconds=store.date_wrong_by_s)
            self.send_header("Date", format_datetime(told, usegmt=True))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler


@contextmanager
def skewed_store(ahead_s: float, *, date_wrong_by_s: float = 0.0) -> Iterator[SkewedStore]:
    """Serve until the block ends."""
    store = SkewedStore(ahead_s=ahead_s, date_wrong_by_s=date_wrong_by_s)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store))
    server.daemon_threads = True
    store.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
