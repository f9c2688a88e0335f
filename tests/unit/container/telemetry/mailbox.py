"""A server that keeps what was posted to it: a stand-in for whoever a run tells something."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.loopback_server import LoopbackServer, QuietHandler


class Mailbox(LoopbackServer):
    """What came, as (path, body, headers), in order; answers with the next of `statuses`."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str, dict[str, str]]] = []
        self.statuses: list[int] = [200]
        self._some = threading.Condition()
        mailbox = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                with mailbox._some:
                    mailbox.came.append((self.path, body, dict(self.headers)))
                    many = len(mailbox.statuses) > 1
                    status = mailbox.statuses.pop(0) if many else mailbox.statuses[0]
                    mailbox._some.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        super().__init__(Handler)

    def paths(self) -> list[str]:
        """Return where was posted to, in order."""
        with self._some:
            return [path for path, _, _ in self.came]

    def wait_for(self, reached: Callable[[], object], *, within_s: float = 20.0) -> None:
        """Return when something came that makes it true."""
        with self._some:
            assert self._some.wait_for(reached, within_s), self.came


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Run one."""
    opened = Mailbox()
    try:
        yield opened
    finally:
        opened.stop()
