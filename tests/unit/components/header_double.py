"""A stand-in for any HTTP service or proxy: answers all alike and keeps what it was asked."""

from __future__ import annotations

from dataclasses import dataclass

from tests.loopback_server import LoopbackServer, QuietHandler


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request, as it came: a proxy is sent the whole address as the path."""

    path: str
    headers: dict[str, str]


class HeaderDouble(LoopbackServer):
    """Listens on loopback; `requests` grows with each one."""

    def __init__(self) -> None:
        self.status = 404
        self.requests: list[Asked] = []
        double = self

        class Handler(QuietHandler):
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

        super().__init__(Handler)
