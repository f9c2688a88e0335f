"""A stand-in for a vendor's API: answers the next calls as a test lines them up."""

from __future__ import annotations

import json
from typing import Any

from tests.loopback_server import LoopbackServer, QuietHandler


class Vendor(LoopbackServer):
    """Answers the next calls with what a test lines up, the last answer again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.calls: list[str] = []
        self.bodies: list[bytes] = []  # of the same calls
        vendor = self

        class Handler(QuietHandler):
            def answer(self) -> None:
                vendor.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                vendor.calls.append(f"{self.command} {self.path}")
                status, body = vendor.answers.pop(0)
                if not vendor.answers:
                    vendor.answers.append((status, body))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = do_PATCH = answer  # noqa: N815

        super().__init__(Handler)

    def will(self, status: int, answer: Any) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.answers.append((status, body))
