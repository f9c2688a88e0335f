"""An HTTP proxy that does to a call what was planted for it; one stands before each vendor.

Calls pass unchanged, the Host header too, which the signatures of S3 cover. A call that is on its
way lands also when its sender has died.
"""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from tests.campaign_engine.faults import Action, Call, Do, Hold, Lose, Storm, Vendor, WrongId
from tests.campaign_engine.planted import Planted

LONGEST_CALL_S: Final = 600.0  # the clients have their own limits
PAGE: Final = b"<!doctype html><title>504 Gateway Time-out</title><h1>504 Gateway Time-out</h1>"
_HOP_BY_HOP: Final = {"connection", "keep-alive", "expect", "transfer-encoding", "content-length"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back to the client; `sent` bytes of the body before the connection is cut."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    sent: int | None = None


Upstream = Callable[[Mapping[str, str]], str]
Perform = Callable[[Action], None]
Observe = Callable[[Call, Answer], None]


class FaultProxy:
    """Passes calls on to `upstream`, which may depend on their headers.

    `perform` does what a fault does beside the call; `observe` is told each answer of the upstream,
    whatever becomes of it on its way back.
    """

    def __init__(
        self,
        vendor: Vendor,
        upstream: Upstream,
        *,
        planted: Planted,
        perform: Perform,
        observe: Observe,
    ) -> None:
        self.vendor: Vendor = vendor
        self.upstream = upstream
        self.planted = planted
        self.perform = perform
        self.observe = observe
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop listening; what is held does not land any more."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, call: Call, headers: list[tuple[str, str]], body: bytes) -> Answer | None:
        """Do what is planted; return the answer, or None where the connection is to be cut."""
        effects = self.planted.arrived(call)
        for effect in effects:
            match effect:
                case Storm(status=status):
                    return Answer(status=status, headers=(("Retry-After", "1"),), body=b"{}")
                case Hold(for_s=seconds):
                    if self.ended.wait(seconds):
                        return None
                case Do(action=action, when="unsent" | "sent" as when):
                    self.perform(action)
                    if when == "unsent":
                        return None
                case Lose(form="cut-unsent"):
                    return None
                case Lose(form="page-unsent"):
                    return _page()
                case _:
                    pass
        answer: Answer | None = self._passed_on(call, headers, body)
        for effect in effects:
            match effect:
                case Do(action=action, when="answered"):
                    self.perform(action)
                case Lose(form=form) if answer is not None:
                    answer = _lost(answer, form)
                case WrongId() if answer is not None:
                    answer = _with_wrong_id(answer)
                case _:
                    pass
        return answer

    def _passed_on(self, call: Call, headers: list[tuple[str, str]], body: bytes) -> Answer:
        upstream = urlsplit(self.upstream({name.lower(): value for name, value in headers}))
        connection = http.client.HTTPConnection(
            upstream.hostname or "", upstream.port, timeout=LONGEST_CALL_S
        )
        try:
            connection.putrequest(call.method, call.path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            if body or call.method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            got = connection.getresponse()
            content = got.read()
            kept = [(k, v) for k, v in got.getheaders() if k.lower() not in _HOP_BY_HOP]
            if call.method == "HEAD" and (length := got.getheader("Content-Length")):
                kept.append(("Content-Length", length))
            answer = Answer(status=got.status, headers=tuple(kept), body=content)
        except (OSError, http.client.HTTPException):
            return _page()
        finally:
            connection.close()
        self.observe(call, answer)
        return answer


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            call = Call(vendor=proxy.vendor, method=self.command, path=self.path)
            with proxy.planted.on_its_way():
                answer = proxy.answer(call, self.headers.items(), body)
            self.close_connection = answer is None or answer.sent is not None
            if answer is None:
                return
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[: answer.sent])

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:  # a client that was killed in the middle is what this is for
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


def _page() -> Answer:
    return Answer(status=504, headers=(("Content-Type", "text/html"),), body=PAGE)


def _lost(answer: Answer, form: str) -> Answer | None:
    half = len(answer.body) // 2
    match form:
        case "cut":
            return None
        case "page":
            return _page()
        case "half-json":
            return replace(answer, body=answer.body[:half])
        case "half-body":
            return replace(answer, sent=half)
        case _:
            return Answer(status=200)


def _with_wrong_id(answer: Answer) -> Answer:
    try:
        told = json.loads(answer.body)
    except ValueError:
        return answer
    wrong = json.dumps({**told, "deployment_id": str(uuid.uuid4())}).encode()
    return replace(answer, body=wrong)
