"""A Cloudflare API of a few lines, in this process: answers as the vendor does, notes each call."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any

ACCOUNT = "0123456789abcdef0123456789abcdef"
NO_BUCKET = (404, 10006, "The specified bucket does not exist.")


@dataclass
class Sent:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Refusal:
    """An answer to give instead of the usual one."""

    status: int
    code: int
    message: str
    headers: dict[str, str] = field(default_factory=dict)


class CloudflareDouble:
    """Buckets and tokens in memory; a context manager."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.refusals: list[Refusal] = []
        """Given to the next requests, one each, before anything else."""
        self.buckets: dict[tuple[str, str], dict[str, Any]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.token_value = "cfat_PLANTEDTOKENVALUE"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/client/v4"

    def __enter__(self) -> CloudflareDouble:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def calls(self) -> list[str]:
        """Return what arrived, as `METHOD /path`."""
        return [f"{sent.method} {sent.path}" for sent in self.sent]

    def answer(self, sent: Sent) -> tuple[int, Any]:
        """Return the status and the result, or the error as (code, message)."""
        kind, _, name = sent.path.removeprefix(f"/accounts/{ACCOUNT}/").partition("/")
        if kind == "r2":
            return self._bucket(sent, name.removeprefix("buckets").strip("/"))
        return self._token(sent, name)

    def _bucket(self, sent: Sent, name: str) -> tuple[int, Any]:
        where = sent.headers["cf-r2-jurisdiction"]
        if sent.method == "POST":
            key = (where, sent.body["name"])
            if key in self.buckets:
                return 409, (10004, "The bucket you tried to create already exists.")
            self.buckets[key] = {
                "name": sent.body["name"],
                "creation_date": "2026-01-02T03:04:05.678Z",
                "location": sent.body.get("locationHint", "enam").upper(),
                "storage_class": sent.body["storageClass"],
                "jurisdiction": where,
            }
            return 200, self.buckets[key]
        if (where, name) not in self.buckets:
            return NO_BUCKET[0], NO_BUCKET[1:]
        if sent.method == "DELETE":
            del self.buckets[where, name]
            return 200, {}
        if sent.method == "PATCH":
            self.buckets[where, name]["storage_class"] = sent.headers["cf-r2-storage-class"]
        return 200, self.buckets[where, name]

    def _token(self, sent: Sent, id_: str) -> tuple[int, Any]:
        if sent.method == "POST":
            id_ = f"{len(self.tokens) + 1:032x}"
            issued = {"issued_on": "2026-01-02T03:04:05Z", "modified_on": "2026-01-02T03:04:05Z"}
            self.tokens[id_] = {"id": id_, "status": "active", **issued, **sent.body}
            return 200, {**self.tokens[id_], "value": self.token_value}
        if id_ not in self.tokens:
            return 404, (1003, "Could not find the token.")
        if sent.method == "DELETE":
            del self.tokens[id_]
            return 200, {"id": id_}
        if sent.method == "PUT":
            self.tokens[id_] |= {**sent.body, "modified_on": "2026-01-03T03:04:05Z"}
        return 200, self.tokens[id_]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                size = int(self.headers.get("Content-Length", "0"))
                body = json.loads(self.rfile.read(size)) if size else None
                headers = {key.lower(): value for key, value in self.headers.items()}
                sent = Sent(self.command, self.path.removeprefix("/client/v4"), headers, body)
                double.sent.append(sent)
                extra: dict[str, str] = {"x-should-retry": "false"}
                if double.refusals:
                    refusal = double.refusals.pop(0)
                    status, result = refusal.status, (refusal.code, refusal.message)
                    extra = refusal.headers
                else:
                    status, result = double.answer(sent)
                failed = status >= 400
                errors = [{"code": result[0], "message": result[1]}] if failed else []
                answer = {"success": not failed, "errors": errors, "messages": []}
                content = json.dumps({**answer, "result": None if failed else result}).encode()
                self.send_response(status)
                for key, value in {"Content-Type": "application/json", **extra}.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - its names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                pass

        return Handler
