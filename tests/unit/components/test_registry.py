"""The registry is asked as a machine will ask it, and no stranger sees the login."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.registry import RealmRefusedError, find_manifest, knock, may_see_login, split

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


@contextmanager
def listening(host: str, answer: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Answer everything with 401 and these headers; yield the address and the logins seen."""
    logins: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            for name, value in answer.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"{host}:{server.server_address[1]}", logins
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_registry_whose_challenge_names_a_foreign_realm_gets_no_login() -> None:
    with listening("127.0.0.2", {}) as (stranger, seen):
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{stranger}/token",service="r"'}
        with listening("127.0.0.1", challenge) as (server, _):
            found = find_manifest(f"{server}/a/b@{DIGEST}", username="user", secret="planted")
            with pytest.raises(RealmRefusedError, match="asks to log in at"):
                knock(server, ("user", "planted"))
    assert seen == []
    assert (found.outcome, "asks to log in at" in found.why) == ("unknown", True)
    assert "planted" not in found.why


@pytest.mark.parametrize(
    ("registry", "realm", "may"),
    [
        ("https://registry-1.docker.io/v2/", "https://auth.docker.io/token", True),
        ("https://ghcr.io/v2/", "https://ghcr.io/token", True),
        ("https://registry.gitlab.com/v2/", "https://gitlab.com/jwt/auth", True),
        ("https://registry.example.com/v2/", "https://auth.example.com/", True),
        ("https://registry.example.co.uk/v2/", "https://auth.example.co.uk/", True),
        ("https://registry.example.com:5000/v2/", "https://registry.example.com:5001/t", True),
        ("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5001/token", True),
        ("https://10.0.0.5:5000/v2/", "https://10.0.0.5:5001/token", True),
        ("https://ghcr.io/v2/", "http://ghcr.io/token", False),
        ("https://ghcr.io/v2/", "https://ghcr.io.evil.example/token", False),
        ("https://ghcr.io/v2/", "https://evilghcr.io/token", False),
        ("https://ghcr.io/v2/", "https://ghcr.io@evil.example/token", False),
        ("https://ghcr.io/v2/", "https://docker.io/token", False),
        ("https://registry.one.co.uk/v2/", "https://auth.two.co.uk/", False),
        ("https://ghcr.io/v2/", "http://127.0.0.1:1/token", False),
        ("https://10.0.0.5:5000/v2/", "http://10.0.0.5:5001/token", False),
        ("https://10.0.0.5:5000/v2/", "https://10.9.0.5:5001/token", False),
        ("http://127.0.0.1:5000/v2/", "http://10.0.0.1:5001/token", False),
        ("http://127.0.0.1:5000/v2/", "https://auth.example.com/token", False),
        ("https://ghcr.io/v2/", "", False),
        ("https://ghcr.io/v2/", "/token", False),
    ],
)
def test_the_login_goes_to_the_registrys_own_realm_only(
    registry: str, realm: str, may: bool
) -> None:
    assert may_see_login(realm, registry=registry) == may
