"""The image's tag follows its content, and the registry is asked as a machine will ask it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.dockerignore import Ignored
from components.registry import find_manifest, split
from components.run_image import content_tag


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM base")
    (tmp_path / "recipes" / "one.py").write_text("x = 1")
    (tmp_path / ".dockerignore").write_text("# comment\n**/__pycache__\n*.md\n!KEEP.md\nnotes/\n")
    return tmp_path


def tag(context: Path, **args: str) -> str:
    return content_tag(context, target="rehearsal", build_args=args)


def test_the_same_content_gives_the_same_tag(context: Path) -> None:
    first = tag(context)
    (context / "Dockerfile").touch()
    assert tag(context) == first
    assert len(first) == 16


def test_a_changed_file_name_mode_target_or_argument_gives_another_tag(context: Path) -> None:
    seen = {tag(context), tag(context, BASE_IMAGE="a"), tag(context, BASE_IMAGE="b")}
    seen.add(content_tag(context, target="nanochat", build_args={}))
    (context / "recipes" / "one.py").write_text("x = 2")
    seen.add(tag(context))
    (context / "recipes" / "one.py").chmod(0o755)
    seen.add(tag(context))
    (context / "recipes" / "one.py").rename(context / "recipes" / "two.py")
    seen.add(tag(context))
    assert len(seen) == 7


def test_what_the_build_does_not_see_does_not_count(context: Path) -> None:
    first = tag(context)
    (context / "recipes" / "__pycache__").mkdir()
    (context / "recipes" / "__pycache__" / "one.pyc").write_text("x")
    (context / "README.md").write_text("x")
    (context / "notes").mkdir()
    (context / "notes" / "a.txt").write_text("x")
    assert tag(context) == first
    (context / "KEEP.md").write_text("x")
    assert tag(context) != first


@pytest.mark.parametrize(
    ("pattern", "name", "ignored"),
    [
        ("*.pyc", "a.pyc", True),
        ("*.pyc", "b/a.pyc", False),
        ("**/*.pyc", "b/c/a.pyc", True),
        ("**/__pycache__", "__pycache__/a", True),
        ("docs", "docs/a/b", True),
        ("docs", "mydocs/a", False),
        ("/docs", "docs/a", True),
        ("a?c", "abc", True),
        ("a.c", "abc", False),
        ("**", "anything/at/all", True),
    ],
)
def test_patterns_mean_what_docker_says(pattern: str, name: str, ignored: bool) -> None:
    assert Ignored([pattern]).matches(name) == ignored


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        (f"ghcr.io/a/b@{DIGEST}", ("ghcr.io", "a/b", DIGEST)),
        (f"127.0.0.1:5000/a/b@{DIGEST}", ("127.0.0.1:5000", "a/b", DIGEST)),
        (f"ghcr.io/a/b:tag@{DIGEST}", ("ghcr.io", "a/b", DIGEST)),
        (f"somebody/x@{DIGEST}", ("docker.io", "somebody/x", DIGEST)),
        (f"debian@{DIGEST}", ("docker.io", "library/debian", DIGEST)),
    ],
)
def test_a_reference_is_split_as_docker_splits_it(image: str, parts: tuple[str, ...]) -> None:
    assert split(image) == parts


@pytest.fixture
def registry() -> Iterator[tuple[str, list[str]]]:
    """A registry that knows `a/b`, wants a bearer token, and gives it to user:secret only."""
    asked: list[str] = []
    basic = "Basic dXNlcjpzZWNyZXQ="

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"token": "t1"}).encode()
            self.answer(200 if self.headers.get("Authorization") == basic else 401, body)

        def do_HEAD(self) -> None:
            asked.append(self.path)
            if "broken" in self.path:
                self.answer(500)
            elif self.headers.get("Authorization") != "Bearer t1":
                realm = f'Bearer realm="{address}/token",service="r",scope="repository:a/b:pull"'
                self.answer(401, challenge=realm)
            else:
                self.answer(200 if self.path == f"/v2/a/b/manifests/{DIGEST}" else 404)

        def answer(self, status: int, body: bytes = b"{}", *, challenge: str = "") -> None:
            self.send_response(status)
            if challenge:
                self.send_header("WWW-Authenticate", challenge)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield address.removeprefix("http://"), asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("repository", "secret", "outcome"),
    [
        ("a/b", "secret", "present"),
        ("a/c", "secret", "absent"),
        ("a/b", "wrong", "absent"),
        ("broken", "secret", "unknown"),
    ],
)
def test_the_registry_is_asked_with_the_pull_credentials(
    registry: tuple[str, list[str]], repository: str, secret: str, outcome: str
) -> None:
    server, _ = registry
    found = find_manifest(f"{server}/{repository}@{DIGEST}", username="user", secret=secret)
    assert found.outcome == outcome


def test_a_registry_that_does_not_answer_is_unknown_and_never_absent() -> None:
    found = find_manifest(f"127.0.0.1:9/a/b@{DIGEST}", username="", secret="")
    assert found.outcome == "unknown"
    assert "gave no usable answer" in found.why
