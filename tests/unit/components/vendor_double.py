"""A stand-in for a vendor's API: answers the next calls as a test lines them up."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Vendor:
    """Answers the next calls with what a test lines up, the last answer again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.calls: list[str] = []
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                vendor.calls.append(f"{self.command} {self.path}")
                status, body = vendor.answers.pop(0)
                if not vendor.answers:
                    vendor.answers.append((status, body))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def will(self, status: int, answer: Any) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.answers.append((status, body))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
