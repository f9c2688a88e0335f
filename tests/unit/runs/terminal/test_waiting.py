"""Whoever waits is told for what and for how long at most, when it takes its time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runs.cli import main
from runs.terminal import waiting
from runs.waits import longer_than
from runs.waits import waiting as waits_for


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was told; nobody has to wait long for it."""
    lines: list[str] = []
    monkeypatch.setattr(waiting, "SAY_AFTER_S", 0.05)
    monkeypatch.setattr(waiting, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(waiting, "say", lines.append)
    yield lines


@pytest.fixture
def silent_service(told: list[str]) -> Iterator[str]:
    """Every vendor at once: takes each request, and answers none until the waiting was told."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def hold(self) -> None:
            for _ in range(1000):
                if told or over.wait(0.01):
                    break
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = hold  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("command", "for_what"),
    [
        ("list --bucket a-bucket", "bucket a-bucket"),
        ("status --bucket a-bucket --prefix a-run", "bucket a-bucket"),
        ("watch --bucket a-bucket --prefix a-run", "bucket a-bucket"),
        ("logs --bucket a-bucket --prefix a-run", "bucket a-bucket"),
        ("loss --bucket a-bucket --prefix a-run", "bucket a-bucket"),
        ("cost --bucket a-bucket --prefix a-run", "bucket a-bucket"),
        ("artifacts --bucket a-bucket --prefix a-run", "bucket a-bucket"),
        ("pull --bucket a-bucket --prefix a-run", "bucket a-bucket"),
        ("rm --bucket a-bucket --prefix a-run", "bucket a-bucket"),
        ("doctor --bucket a-bucket", "Cloudflare"),
        ("reap --bucket a-bucket", "io.net"),
    ],
)
def test_a_command_that_nobody_answers_tells_for_whom_it_waits_and_how_long_at_most(
    command: str,
    for_what: str,
    silent_service: str,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """`reap` was silent for 68 s."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("runs.machines.RETRY_FOR_S", 0.0)
    monkeypatch.setenv("PATH", "")  # no Pulumi: the bucket is named
    for name in ("IONET_BASE_URL", "CLOUDFLARE_BASE_URL", "R2_ENDPOINT_URL"):
        monkeypatch.setenv(name, silent_service)
    monkeypatch.setenv("TRAINSTACK_LOCAL_CLOUD", str(tmp_path))
    for name in ("IOCLOUD_API_KEY", "CLOUDFLARE_API_TOKEN", "R2_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "a-key")
    monkeypatch.setenv("R2_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setattr("sys.argv", ["runs", *command.split()])
    with pytest.raises(SystemExit):
        main()
    assert told[0].startswith(f"waiting for {for_what}, ")
    assert told[0].endswith(" at most …")


def test_what_is_answered_at_once_is_not_told(told: list[str]) -> None:
    with waiting.telling(), waits_for("nobody", at_most_s=1):
        pass
    assert told == []


def test_each_thing_is_told_once_however_many_wait_for_it(told: list[str]) -> None:
    with waiting.telling():
        while not told:
            with waits_for("a bucket", at_most_s=140), waits_for("a bucket", at_most_s=140):
                while not told:
                    assert longer_than(0)
        with waits_for("io.net", at_most_s=61):
            while len(told) < 2:
                assert longer_than(0)
    assert told == [
        "waiting for a bucket, 2m 20s at most …",
        "waiting for io.net, 1m 01s at most …",
    ]
    assert longer_than(0) == []
