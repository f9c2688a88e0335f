"""A stand-in for the dataset mirror that can be told to misbehave; Range, HEAD-less, loopback."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Mirror:
    """Files by name, what to do wrong, and what was asked for."""

    files: dict[str, bytes]
    cut_after: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    refused: set[str] = field(default_factory=set[str])
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    honours_range: bool = True
    url: str = ""

    def served(self, name: str) -> list[str]:
        """Return the Range headers of the requests for a file, "" for none."""
        return [given for asked, given in self.asked if asked == name]


def shard(texts: list[str]) -> bytes:
    """Return a shard of documents."""
    return gzip.compress("".join(json.dumps({"text": t}) + "\n" for t in texts).encode(), mtime=0)


def manifest(files: dict[str, bytes]) -> bytes:
    """Return the manifest of all shards among the files."""
    entries = [
        {
            "name": name,
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "documents": 1,
        }
        for name, content in sorted(files.items())
        if name.startswith("shard_")
    ]
    return json.dumps({"shards": entries}).encode()


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    """Serve the files on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, given = self.path.lstrip("/"), self.headers.get("Range", "")
            mirror.asked.append((name, given))
            content = mirror.files.get(name)
            if content is None or name in mirror.refused:
                self.send_error(404 if content is None else 503)
                return
            begin = int(given.removeprefix("bytes=").rstrip("-") or 0)
            begin = begin if mirror.honours_range else 0
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            cuts = mirror.cut_after.get(name, [])
            self.wfile.write(content[begin : cuts.pop(0) if cuts else None])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
