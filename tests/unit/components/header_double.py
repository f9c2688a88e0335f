"""A stand-in for any HTTP service or proxy: answers all alike and keeps what it was asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, as it came: a proxy is sent the whole address as the path."""

    path: str
    headers: dict[str, str]


class HeaderDouble:
    """Listens on loopback; `requests` grows with each one."""

    def __init__(self) -> None:
        self.status = 404
        self.requests: list[Asked] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                double.requests.append(Asked(path=self.path, headers=dict(self.headers)))
                self.send_response(double.status)
                self.send_header("Content-Length", "2")
                if double.status in (301, 302, 307, 308):
                    self.send_header("Location", double.url)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(b"{}")

            do_GET = do_POST = do_HEAD = do_PUT = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
