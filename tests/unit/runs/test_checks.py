"""The doctor: one world at a time, addresses that belong to it, and no key on any screen."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from components import registry
from runs import checks
from runs.source.selector import Selector
from runs.source.source import Source
from tests.unit.components.vendor_double import Vendor

LOCAL = {
    "TRAINSTACK_LOCAL_CLOUD": "/somewhere/.local",
    "IONET_BASE_URL": "http://127.0.0.1:1",
    "CLOUDFLARE_BASE_URL": "http://127.0.0.1:2/client/v4",
    "R2_ENDPOINT_URL": "http://172.30.0.1:3",
}
Answer = tuple[int, dict[str, str], object]


@pytest.mark.parametrize(
    ("environ", "here", "outcome", "told"),
    [
        ({}, False, "ok", "real"),
        (LOCAL, True, "ok", "local"),
        (LOCAL, False, "refused", "is gone"),
        ({**LOCAL, "TRAINSTACK_LOCAL_CLOUD": ""}, True, "refused", "IONET_BASE_URL"),
        ({"R2_ENDPOINT_URL": "http://127.0.0.1:3"}, True, "refused", "R2_ENDPOINT_URL"),
        ({"R2_ENDPOINT_URL": "https://a.r2.cloudflarestorage.com"}, False, "ok", "real"),
        ({**LOCAL, "IONET_BASE_URL": ""}, True, "refused", "IONET_BASE_URL is not set"),
        (
            {**LOCAL, "IONET_BASE_URL": "https://api.io.solutions"},
            True,
            "refused",
            "IONET_BASE_URL leads to the internet",
        ),
    ],
    ids=[
        "nothing set is the real world",
        "all set is the local one",
        "its folder was deleted",
        "addresses without the mark",
        "one address without the mark",
        "R2's own address, as the guide has it",
        "a missing address would be the real one",
        "a real address in the local world",
    ],
)
def test_a_shell_is_in_one_world(
    environ: dict[str, str], here: bool, outcome: str, told: str
) -> None:
    found = checks.judge_world(environ, directory_exists=lambda _: here)
    assert found.outcome == outcome
    assert told in found.what
    assert (found.remedy != "") is (outcome == "refused")


@pytest.mark.parametrize(
    ("environ", "cloud", "outcome"),
    [
        (LOCAL, "local", "ok"),
        ({}, "io.net", "ok"),
        (LOCAL, "io.net", "refused"),
        ({}, "local", "refused"),
        ({}, "", "unknown"),
    ],
)
def test_shell_and_stack_mean_the_same_world(
    environ: dict[str, str], cloud: str, outcome: str
) -> None:
    assert checks.judge_stack_world(environ, cloud=cloud).outcome == outcome


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:80", True),
        ("http://172.30.0.1:3", True),
        ("http://[::1]:80", True),
        ("http://localhost:5000", True),
        ("https://api.io.solutions", False),
        ("https://8.8.8.8", False),
        ("https://127.0.0.1.example.org", False),
        ("", False),
    ],
)
def test_an_address_is_this_machines_or_its_networks(url: str, expected: bool) -> None:
    assert registry.is_private(url) is expected


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("docker.io", "https://registry-1.docker.io/v2/"),
        ("", "https://registry-1.docker.io/v2/"),
        ("ghcr.io", "https://ghcr.io/v2/"),
        ("https://ghcr.io/", "https://ghcr.io/v2/"),
        ("127.0.0.1:5000", "http://127.0.0.1:5000/v2/"),
        ("localhost:5000", "http://localhost:5000/v2/"),
    ],
)
def test_a_registry_is_asked_at_its_api(server: str, expected: str) -> None:
    assert registry.api_address(server) == expected


@contextmanager
def server(answer: Callable[[str, dict[str, str]], Answer]) -> Iterator[str]:
    """Serve GET on loopback; yield the address without a path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(
                self.path, {k.lower(): v for k, v in self.headers.items()}
            )
            raw = json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


def outcomes(**environ: str) -> dict[str, checks.Finding]:
    source = Source(Selector(bucket="b"), environ=environ)
    return {found.check: found for found in checks.findings(source)}


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, {"data": {"deployments": [], "total": 0}}, "ok"),
        (401, {"detail": "bad key"}, "refused"),
        (403, {}, "refused"),
        (400, {"key_set": True}, "refused"),
        (400, {"detail": "page"}, "unknown"),
        (500, {}, "unknown"),
        (302, {}, "unknown"),
    ],
)
def test_the_ionet_key_is_refused_only_by_a_clear_no(
    status: int, body: dict[str, object], outcome: str
) -> None:
    def answer(path: str, headers: dict[str, str]) -> Answer:
        if path.startswith("/v2/"):
            return 404, {}, {}
        assert path.startswith("/enterprise/v1/io-cloud/caas/deployments")
        assert headers["x-api-key"] == "planted-key"
        return status, {}, body

    with server(answer) as url:
        found = outcomes(IONET_BASE_URL=url, IOCLOUD_API_KEY="planted-key", REGISTRY_SERVER=url[7:])
    assert found["io.net key"].outcome == outcome
    assert "planted-key" not in repr(found)


def test_nobody_answering_is_unknown_and_never_refused() -> None:
    gone = "http://127.0.0.1:9"
    found = outcomes(
        IONET_BASE_URL=gone,
        IOCLOUD_API_KEY="k",
        CLOUDFLARE_BASE_URL=gone,
        CLOUDFLARE_ACCOUNT_ID="acc",
        CLOUDFLARE_API_TOKEN="t",
        R2_ENDPOINT_URL=gone,
        REGISTRY_SERVER=gone[7:],
    )
    for check in ("io.net key", "Cloudflare token", "bucket", "registry"):
        assert found[check].outcome == "unknown", check


@pytest.mark.parametrize(
    ("login", "outcome"), [(("u", "right"), "ok"), (("u", "wrong"), "refused"), (None, "refused")]
)
@pytest.mark.parametrize("bearer", [True, False], ids=["token login", "basic login"])
def test_a_registry_lets_in_or_refuses(
    login: tuple[str, str] | None, outcome: str, bearer: bool
) -> None:
    right = "Basic " + base64.b64encode(b"u:right").decode()
    address: list[str] = []

    def answer(path: str, headers: dict[str, str]) -> Answer:
        if bearer and path == "/v2/":
            challenge = f'Bearer realm="{address[0]}/token",service="registry"'
            return 401, {"www-authenticate": challenge}, {}
        if headers.get("authorization") == right:
            return 200, {}, {"token": "x"}
        return 401, {"www-authenticate": 'Basic realm="r"'}, {}

    with server(answer) as url:
        address.append(url)
        extra = {"REGISTRY_USERNAME": login[0], "REGISTRY_SECRET": login[1]} if login else {}
        found = outcomes(IONET_BASE_URL=url, REGISTRY_SERVER=url[7:], **extra)
    assert found["registry"].outcome == outcome


def test_a_registry_cannot_send_the_login_to_a_stranger() -> None:
    def answer(path: str, headers: dict[str, str]) -> Answer:
        return 401, {"www-authenticate": 'Bearer realm="http://example.org/token"'}, {}

    with server(answer) as url:
        found = outcomes(
            IONET_BASE_URL=url,
            REGISTRY_SERVER=url[7:],
            REGISTRY_USERNAME="u",
            REGISTRY_SECRET="planted",
        )
    assert found["registry"].outcome == "refused"
    assert "not https" in found["registry"].what


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, {"result": {"id": "t1", "status": "active"}}, "ok"),
        (200, {"result": {"id": "t1", "status": "expired"}}, "refused"),
        (401, {"success": False}, "refused"),
        (500, {}, "unknown"),
        (429, {}, "unknown"),
    ],
)
def test_the_cloudflare_token_is_refused_only_by_a_clear_no(
    status: int, body: dict[str, object], outcome: str
) -> None:
    with server(lambda _, __: (status, {}, body)) as url:
        found = outcomes(
            CLOUDFLARE_BASE_URL=url,
            CLOUDFLARE_ACCOUNT_ID="acc",
            CLOUDFLARE_API_TOKEN="planted-token",
            IONET_BASE_URL=url,
            REGISTRY_SERVER=url[7:],
            R2_ENDPOINT_URL=url,
        )
    assert found["Cloudflare token"].outcome == outcome
    assert (checks.RUN_TOKEN in found) == (outcome == "ok"), "a good token is tried, not only read"
    assert outcome != "ok" or found[checks.RUN_TOKEN].outcome != "ok", "nobody took this trial"
    assert "planted-token" not in repr(found)


def test_the_registry_login_that_is_checked_is_the_one_that_pulumi_up_uses(tmp_path: Path) -> None:
    """The stack's config wins there (components/config/settings.py), unlike for the other keys."""
    program = tmp_path / "pulumi"
    program.write_text(
        """#!/bin/sh
case "$*" in *"config get"*) echo '{"value": "right", "secret": true}';;
*config*) echo '{"trainstack:registryUsername": {"value": "u", "secret": false},
    "trainstack:registrySecret": {"secret": true}}';;
*) echo '{}';; esac
"""
    )
    program.chmod(0o755)
    right = "Basic " + base64.b64encode(b"u:right").decode()

    def answer(path: str, headers: dict[str, str]) -> Answer:
        return (200 if headers.get("authorization") == right else 401), {}, {}

    with server(answer) as url:
        environ = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "IONET_BASE_URL": url,
            "CLOUDFLARE_BASE_URL": url,
            "R2_ENDPOINT_URL": url,
            "REGISTRY_SERVER": url[7:],
            "REGISTRY_USERNAME": "somebody-else",
            "REGISTRY_SECRET": "planted",
        }
        source = Source(Selector(stack="dev"), environ=environ)
        found = {finding.check: finding for finding in checks.findings(source)}
    assert (found["registry"].outcome, "as u" in found["registry"].what) == ("ok", True)


@pytest.mark.parametrize(
    ("key", "status", "body", "outcome", "told"),
    [
        ("", 500, {}, "ok", "no run reports"),
        ("planted", 200, {"data": {"viewer": {"id": "x"}}}, "ok", "takes it"),
        ("planted", 401, {}, "refused", "does not know the key"),
        ("planted", 200, {"data": {"viewer": None}}, "refused", "does not know the key"),
        ("planted", 503, {}, "unknown", "not checked"),
    ],
)
def test_the_wandb_key_is_refused_only_by_a_clear_no(
    key: str, status: int, body: object, outcome: str, told: str
) -> None:
    wandb = Vendor()
    wandb.will(status, body)
    source: Any = SimpleNamespace(
        secret_config=lambda _: key, environ={"WANDB_BASE_URL": wandb.url}
    )
    found = checks._wandb(source)
    wandb.stop()
    assert (found.outcome, told in found.what) == (outcome, True)
    assert bool(found.remedy) == (outcome == "refused")
    assert "planted" not in repr(found)


@pytest.mark.parametrize(
    ("config", "outcome"),
    [({}, "ok"), ({"flashAttention": "ab" * 20}, "ok"), ({"flashAttention": "none"}, "unknown")],
)
def test_an_image_without_flash_attention_is_told(config: dict[str, str], outcome: str) -> None:
    """https://github.com/karpathy/nanochat/issues/737: it was found missing on paid time."""
    found = checks.judge_image(config)
    assert found.outcome == outcome
    assert ("fetches it on paid time" in found.what) == (outcome == "unknown")
