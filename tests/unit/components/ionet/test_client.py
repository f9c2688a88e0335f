"""The HTTP clients: what counts as no, what as unclear, and that no key is ever in a message."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.artifact_store import find_or_make_bucket
from components.ionet import engine_watchdog
from components.ionet.client import Client
from components.ionet.errors import (
    EngineGoneError,
    KeyRefusedError,
    NotFoundError,
    RequestRefusedError,
    UnclearError,
)
from components.r2 import cloudflare
from components.r2.cloudflare import CloudflareError

KEY = "io-v2-planted-key"
ID = "00000000-0000-4000-8000-000000000000"


class Vendor:
    """Answers the next calls with what a test lines up, the last answer again and again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.calls: list[str] = []
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                vendor.calls.append(f"{self.command} {self.path}")
                status, body = vendor.answers.pop(0)
                if not vendor.answers:
                    vendor.answers.append((status, body))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def will(self, status: int, answer: Any) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.answers.append((status, body))

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    found = Vendor()
    yield found
    found.stop()


@pytest.fixture
def client(vendor: Vendor) -> Client:
    return Client(KEY, base_url=vendor.url, retry_for_s=0)


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (401, {"detail": "no"}, KeyRefusedError),
        (403, {"detail": "no"}, KeyRefusedError),
        (403, b"<html>blocked</html>", KeyRefusedError),
        (400, {"key_set": True}, KeyRefusedError),
        (404, {"detail": "Deployment not found"}, NotFoundError),
        (400, {"detail": "Resource not found"}, NotFoundError),
        (404, b"<html>no such page</html>", UnclearError),
        (400, {"detail": "no capacity"}, RequestRefusedError),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "bad", "type": "t"}]}, RequestRefusedError),
        (400, b"<html>", UnclearError),
        (429, {"detail": "slow down"}, UnclearError),
        (500, {"detail": "oops"}, UnclearError),
        (302, b"", UnclearError),
        (200, b"<html>maintenance</html>", UnclearError),
        (200, {"data": {"id": 5}}, UnclearError),
    ],
)
def test_each_answer_leads_to_one_decision(
    client: Client, vendor: Vendor, status: int, answer: Any, error: type[Exception]
) -> None:
    vendor.will(status, answer)
    with pytest.raises(error) as failed:
        client.deployment(ID)
    assert type(failed.value) is error
    assert KEY not in str(failed.value)
    assert "planted" not in repr(failed.value)


def test_no_connection_is_unclear_and_shows_no_address() -> None:
    with pytest.raises(UnclearError) as failed:
        Client(KEY, base_url="http://127.0.0.1:9", retry_for_s=0).deployment(ID)
    assert "127.0.0.1:9" not in str(failed.value)


def test_reading_and_deleting_are_tried_again_and_renting_is_not(vendor: Vendor) -> None:
    client = Client(KEY, base_url=vendor.url, retry_for_s=30)
    vendor.will(502, b"")
    vendor.will(200, {"status": "ok", "deployment_id": ID})
    client.delete(ID)
    assert len(vendor.calls) == 2
    vendor.answers.clear()
    vendor.will(502, b"")
    with pytest.raises(UnclearError):
        client.extend(ID, hours=1)
    assert len(vendor.calls) == 3


def test_a_deployment_that_the_list_still_shows_alive_is_not_gone(
    client: Client, vendor: Vendor
) -> None:
    row = {"id": ID, "name": "n", "status": "running", "created_at": ""}
    vendor.will(200, {"data": {"deployments": [row], "total": 1}})
    assert not client.confirm_gone(ID)
    vendor.answers.clear()
    vendor.will(200, {"data": {"deployments": [{**row, "status": "destroyed"}], "total": 1}})
    assert client.confirm_gone(ID)


def test_a_redirect_is_no_yes_to_an_extension(client: Client, vendor: Vendor) -> None:
    vendor.will(302, b"")
    with pytest.raises(UnclearError):
        client.extend(ID, hours=1)


def rows(*names: str, **more: Any) -> dict[str, Any]:
    found = [{"id": f"id-{name}", "name": name, "status": "running"} for name in names]
    return {"data": {"deployments": found, **more}}


@pytest.mark.parametrize(
    "pages",
    [
        [rows("a", "b", total=2)],
        [rows("a"), rows("b"), rows(), rows("a")],  # no total; the first page is 1
        [rows(), rows("a", "b")],  # no total; the first page is 0, and all is on it
        [rows(total=0), rows("a", "b", total=0)],
        [rows("b", total=2), rows(total=2), rows("a", total=2)],  # the first page is 0
    ],
    ids=["total", "no total", "no total, from 0", "total of 0", "total, from 0"],
)
def test_no_deployment_is_missed_wherever_the_vendor_counts_pages_from(
    client: Client, vendor: Vendor, pages: list[dict[str, Any]]
) -> None:
    """A machine that is not seen in the list is rented a second time, or forgotten."""
    for page in pages:
        vendor.will(200, page)
    assert sorted(row.name for row in client.deployments()) == ["a", "b"]


@pytest.mark.parametrize("answer", [{"data": []}, {"data": None}, {"data": "no"}])
def test_an_answer_of_another_shape_is_unclear(
    client: Client, vendor: Vendor, answer: dict[str, Any]
) -> None:
    vendor.will(200, answer)
    for ask in (client.deployments, lambda: client.workers(ID), lambda: client.deployment(ID)):
        with pytest.raises(UnclearError, match="unknown shape"):
            ask()


@pytest.fixture
def operator(vendor: Vendor) -> cloudflare.Client:
    return cloudflare.Client(
        "planted-token", account_id="a" * 32, base_url=vendor.url, retry_for_s=0
    )


def envelope(result: Any = None, *, code: int = 0) -> dict[str, Any]:
    errors = [{"code": code, "message": "because"}] if code else []
    return {"success": not code, "errors": errors, "messages": [], "result": result}


def test_a_bucket_is_missing_only_when_cloudflare_says_so(
    operator: cloudflare.Client, vendor: Vendor
) -> None:
    vendor.will(404, envelope(code=10006))
    assert operator.find_bucket("b", jurisdiction="default") is None


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (404, envelope(code=7003)),
        (404, b"<html>"),
        (403, envelope(code=9109)),
        (500, envelope(code=10001)),
    ],
)
def test_every_other_failure_is_an_error_and_never_a_missing_bucket(
    operator: cloudflare.Client, vendor: Vendor, status: int, answer: Any
) -> None:
    vendor.will(status, answer)
    with pytest.raises(CloudflareError) as failed:
        operator.find_bucket("b", jurisdiction="default")
    assert "planted" not in str(failed.value)


def test_a_missing_bucket_is_made_and_one_made_meanwhile_is_as_good(
    operator: cloudflare.Client, vendor: Vendor
) -> None:
    vendor.will(404, envelope(code=10006))
    vendor.will(409, envelope(code=10004))
    vendor.will(200, envelope({"name": "b", "storage_class": "InfrequentAccess"}))
    found = find_or_make_bucket(operator, "b", jurisdiction="eu", dry_run=False)
    assert found
    assert found.storage_class == "InfrequentAccess"
    assert [call.split()[0] for call in vendor.calls] == ["GET", "POST", "GET"]


def test_a_preview_makes_nothing(operator: cloudflare.Client, vendor: Vendor) -> None:
    vendor.will(404, envelope(code=10006))
    assert find_or_make_bucket(operator, "b", jurisdiction="eu", dry_run=True) is None
    assert len(vendor.calls) == 1


def test_the_operators_access_is_the_tokens_id_and_the_hash_of_its_value(
    operator: cloudflare.Client, vendor: Vendor
) -> None:
    vendor.will(401, envelope(code=1000))
    vendor.will(200, envelope({"id": "f" * 32, "status": "active"}))
    access = operator.operator_access()
    assert access.access_key_id == "f" * 32
    assert access.secret_access_key == cloudflare.secret_access_key("planted-token")
    assert "planted" not in repr(access)
    assert vendor.calls[1] == "GET /user/tokens/verify"


def test_the_engine_is_found_among_the_arguments_and_missed_when_it_is_gone() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        engine_watchdog.require_alive(["-m", "pulumi.dynamic", address, "--tracing", "x"])
    with pytest.raises(EngineGoneError):
        engine_watchdog.require_alive(["-m", "pulumi.dynamic", address])
    engine_watchdog.require_alive(["pytest"])


def test_a_provider_ends_by_itself_some_time_after_its_engine_was_killed() -> None:
    parents = [7, 7, 7, 1]
    slept: list[float] = []
    ended: list[int] = []
    engine_watchdog.watch_parent(
        parent=lambda: parents.pop(0) if len(parents) > 1 else parents[0],
        sleep=slept.append,
        end=ended.append,
    )
    assert ended == [0]
    assert slept == [
        engine_watchdog.LOOK_EVERY_S,
        engine_watchdog.LOOK_EVERY_S,
        engine_watchdog.CALLS_END_WITHIN_S,
    ]
