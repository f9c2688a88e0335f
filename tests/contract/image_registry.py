"""A stand-in for an image registry: one image in memory, pulled with basic authentication.

Enough of the distribution protocol for `docker pull`; nothing can be pushed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class ImageRegistry:
    """Serves an image made of the given files on a free port of loopback."""

    username = "puller"
    secret = "registry-secret-planted"

    def __init__(self, files: Mapping[str, bytes]) -> None:
        layer_tar = _tar(files)
        layer = gzip.compress(layer_tar, 1, mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
                "rootfs": {"type": "layers", "diff_ids": [_digest(layer_tar)]},
            }
        ).encode()
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": {
                    "mediaType": _CONFIG,
                    "size": len(config),
                    "digest": _digest(config),
                },
                "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": _digest(layer)}],
            }
        ).encode()
        self.digest = _digest(manifest)
        contents = {
            f"/v2/tiny/manifests/{self.digest}": (_MANIFEST, manifest),
            f"/v2/tiny/blobs/{_digest(config)}": ("application/octet-stream", config),
            f"/v2/tiny/blobs/{_digest(layer)}": ("application/octet-stream", layer),
            "/v2/": ("application/json", b"{}"),
        }
        login = base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _answering(contents, f"Basic {login}"))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def image_url(self) -> str:
        """Return the reference of the image, by digest."""
        return f"127.0.0.1:{self._server.server_port}/tiny@{self.digest}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _answering(
    contents: Mapping[str, tuple[str, bytes]], login: str
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.headers.get("Authorization") != login:
                self._send(401, "application/json", b'{"errors":[{"code":"UNAUTHORIZED"}]}')
            elif self.path in contents:
                self._send(200, *contents[self.path])
            else:
                self._send(404, "application/json", b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')

        do_HEAD = do_GET  # noqa: N815 the name that the base calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as in the base
            pass

        def _send(self, status: int, media_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            if status == 200:
                self.send_header("Docker-Content-Digest", _digest(body))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="tests"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    return Handler


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
