"""The official release of the engine: unpacked where it is to be had, else a refusal told."""

from __future__ import annotations

import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.pulumi.engine import VERSION, download


def archive(*names: str) -> bytes:
    """An archive as the official release is: programs below pulumi/."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as files:
        for name in names:
            content = b"#!/bin/sh\necho v3.259.0\n"
            member = tarfile.TarInfo(f"pulumi/{name}")
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Releases(http.server.BaseHTTPRequestHandler):
    """Serves one content for every path; 403 when there is none."""

    content: bytes | None = None

    def do_GET(self) -> None:
        self.send_response(200 if self.content else 403)
        self.send_header("Content-Length", str(len(self.content or b"")))
        self.end_headers()
        self.wfile.write(self.content or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        pass


@pytest.fixture
def releases(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(download.platform, "machine", lambda: "x86_64")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Releases) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (archive("pulumi", "pulumi-language-python", "pulumi-watch"), None),
        (archive("bin/pulumi", "bin/pulumi-language-python"), None),
        (archive("pulumi"), "lacks"),
        (b"<html>blocked</html>", "no archive"),
        (None, "HTTP 403"),
    ],
    ids=["flat", "in-bin", "lacking", "blocked", "forbidden"],  # an archive holds its time
)
def test_the_official_release_is_unpacked_or_its_refusal_told(
    releases: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    refusal: str | None,
) -> None:
    monkeypatch.setattr(Releases, "content", content)
    answer = download.download_release(VERSION, tmp_path, releases=releases)
    if refusal is None:
        assert answer is None
        assert os.access(tmp_path / "pulumi", os.X_OK)
    else:
        assert answer is not None and refusal in answer
        assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_is_a_refusal_not_an_error(tmp_path: Path, releases: str) -> None:
    nobody = releases.replace("127.0.0.1", "127.255.255.254")
    assert download.download_release(VERSION, tmp_path, releases=nobody) == "nothing listens there"
