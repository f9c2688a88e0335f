"""A stand-in for R2 and Cloudflare's token calls: objects in memory, signatures not checked.

Conditional writes hold; a reply to one can be lost, and tokens listed and revoked.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from container.contract.records import Outcome, Verdict

ACCOUNT = "0123456789abcdef0123456789abcdef"
BUCKET = "trainstack-test"


class FakeR2:
    """Objects by `/bucket/key`; `refuse` answers every object call with that code."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.ages_s: dict[str, float] = {}  # of those that were not written just now
        self.refuse = ""
        self.refuses_words: str = ""  # 403 to each call with this in its path or its signature
        self.lock = threading.Lock()
        self.operator_is_known = True
        self.calls: list[str] = []
        self.tokens: dict[str, str] = {}  # name by id
        self.token_members: dict[str, dict[str, Any]] = {}  # what else the list tells, by id
        self.lose_replies_to: str = ""  # of PUTs whose key begins so: done, and not answered
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.cloudflare_url = f"{self.url}/client/v4"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put_verdict(self, prefix: str, outcome: Outcome, *, reason: str = "") -> None:
        """Let the run under that prefix have ended."""
        verdict = Verdict(
            run="main",
            attempt=1,
            outcome=outcome,
            stage="base",
            reason=reason,
            exit_code=0,
            started_at="2026-11-01T00:00:00Z",
            ended_at="2026-11-01T01:00:00Z",
            elapsed_s=3600.0,
            dollars=0.4,
        )
        self.objects[f"/{BUCKET}/{prefix}/verdict.json"] = verdict.to_json()


def _handler(r2: FakeR2) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # answers `Expect: 100-continue`, else boto3 waits a second

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith("/client/v4/") and path.endswith("/tokens"):
                self._list_tokens()
            elif path.startswith("/client/v4/"):
                self._verify()
            elif self._refused():
                return
            elif path.count("/") == 1 or path.endswith("/"):
                self._list(path.strip("/"), dict(parse_qsl(urlsplit(self.path).query)))
            elif path in r2.objects:
                body, age_s = r2.objects[path], r2.ages_s.get(path, 0.0)
                self._answer(200, body, etag=_etag(body), age_s=age_s)
            else:
                self._answer(404, _error("NoSuchKey"))

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.split("?")[0]
            if self._refused():
                return
            with r2.lock:
                old = r2.objects.get(path)
                wanted = self.headers.get("If-Match")
                changed = (wanted and (old is None or wanted != _etag(old))) or (
                    self.headers.get("If-None-Match") == "*" and old is not None
                )
                if not changed:
                    r2.objects[path] = body
                    r2.ages_s.pop(path, None)
            if changed:
                self._answer(412, _error("PreconditionFailed"))
            elif r2.lose_replies_to and path.startswith(f"/{BUCKET}/{r2.lose_replies_to}"):
                self.close_connection = True
            else:
                self._answer(200, b"", etag=_etag(body))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            if self._refused():
                return
            for key in re.findall("<Key>(.*?)</Key>", body):  # POST /bucket?delete
                r2.objects.pop(f"{self.path.split('?')[0].rstrip('/')}/{key}", None)
            self._answer(200, b"<DeleteResult></DeleteResult>")

        def do_DELETE(self) -> None:
            if self.path.startswith("/client/v4/"):
                gone = r2.tokens.pop(self.path.rpartition("/")[2], None)
                answer = {"success": gone is not None, "errors": [], "result": {}}
                self._answer(200 if gone else 404, json.dumps(answer).encode())
            elif not self._refused():
                r2.objects.pop(self.path.split("?")[0], None)
                self._answer(204, b"")

        def _verify(self) -> None:
            r2.calls.append("verify")
            if r2.operator_is_known:
                result = {"id": "0" * 32, "status": "active"}
                found: Any = {"success": True, "errors": [], "result": result}
                self._answer(200, json.dumps(found).encode())
            else:
                errors = [{"code": 1000, "message": "Invalid API Token"}]
                found = {"success": False, "errors": errors, "result": None}
                self._answer(401, json.dumps(found).encode())

        def _list_tokens(self) -> None:
            listed = [
                {"id": id_, "name": name, **r2.token_members.get(id_, {})}
                for id_, name in r2.tokens.items()
            ]
            found = {"success": True, "errors": [], "result": listed}
            self._answer(200, json.dumps(found).encode())

        def _list(self, bucket: str, query: dict[str, str]) -> None:
            begin, rows = query.get("prefix", ""), dict[str, str]()
            for path, body in sorted(r2.objects.items()):
                _, of_bucket, key = path.split("/", 2)
                if of_bucket != bucket or not key.startswith(begin):
                    continue
                folder, slash, _ = key[len(begin) :].partition("/")
                if "delimiter" in query and slash:
                    prefix = f"{begin}{folder}/"
                    rows[prefix] = f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"
                else:
                    rows[key] = (
                        f"<Contents><Key>{key}</Key><Size>{len(body)}</Size><ETag>{_etag(body)}"
                        "</ETag><LastModified>2026-11-01T00:00:00Z</LastModified></Contents>"
                    )
            answer = f"<ListBucketResult>{''.join(rows.values())}</ListBucketResult>"
            self._answer(200, answer.encode())

        def _refused(self) -> bool:
            r2.calls.append(f"{self.command} {self.path}")
            told = self.path + self.headers.get("Authorization", "")
            refuse = r2.refuse or (
                "AccessDenied" if r2.refuses_words and r2.refuses_words in told else ""
            )
            if refuse:
                self._answer(403, _error(refuse))
            return bool(refuse)

        def _answer(
            self, status: int, body: bytes, *, etag: str = "", age_s: float | None = None
        ) -> None:
            self.send_response(status)
            if etag:
                self.send_header("ETag", etag)
            if age_s is not None:
                self.send_header("Last-Modified", formatdate(time.time() - age_s, usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    return Handler


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
