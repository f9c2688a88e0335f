"""The proxy of planted faults, before a server that remembers what reached it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from tests.campaign_engine.fault_proxy import Answer, FaultProxy
from tests.campaign_engine.faults import (
    ANY,
    DEPLOY,
    FORMS,
    Action,
    Call,
    Calls,
    Do,
    Fault,
    Form,
    Hold,
    Kill,
    Lose,
    Storm,
    WrongId,
)
from tests.campaign_engine.planted import Planted

BODY = {"status": "DEPLOYMENT REQUESTED", "deployment_id": "7"}
UNSENT: set[Form] = {"cut-unsent", "page-unsent"}


class Upstream:
    """Answers every call alike."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, str, bytes]] = []  # method, path, host, body
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                upstream.got.append((self.command, self.path, self.headers["Host"], body))
                sent = json.dumps(BODY).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(sent)

            do_GET = do_POST = do_HEAD = do_DELETE = _do  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    found = Upstream()
    yield found
    found.stop()


class World:
    """A proxy, and what it did and was told."""

    def __init__(self, upstream: Upstream) -> None:
        self.planted = Planted()
        self.done: list[tuple[Action, int]] = []  # with how much had reached the upstream then
        self.told: list[tuple[Call, Answer]] = []
        self.proxy = FaultProxy(
            "ionet",
            lambda _: upstream.url,
            planted=self.planted,
            perform=lambda action: self.done.append((action, len(upstream.got))),
            observe=lambda call, answer: self.told.append((call, answer)),
        )

    def post(self, path: str = "/deploy", *, timeout: float = 10) -> requests.Response:
        return requests.post(self.proxy.url + path, json={"a": 1}, timeout=timeout)


@pytest.fixture
def world(upstream: Upstream) -> Iterator[World]:
    found = World(upstream)
    yield found
    found.proxy.stop()


def test_without_faults_calls_pass_unchanged_with_the_host_that_was_signed(
    world: World, upstream: Upstream
) -> None:
    assert world.post("/x%20y?z=%5B1%5D").json() == BODY
    assert requests.head(f"{world.proxy.url}/h", timeout=5).headers["Content-Length"] == "56"
    host = world.proxy.url.removeprefix("http://")
    assert upstream.got == [
        ("POST", "/x%20y?z=%5B1%5D", host, b'{"a": 1}'),
        ("HEAD", "/h", host, b""),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_a_lost_reply_says_nothing_useful_and_the_next_call_passes(
    world: World, upstream: Upstream, form: Form
) -> None:
    world.planted.begin([Fault(DEPLOY, Lose(form))])
    try:
        answer = world.post()
    except requests.RequestException:
        assert form in {"cut-unsent", "cut", "half-body"}
    else:
        assert form not in {"cut-unsent", "cut", "half-body"}
        assert answer.status_code == (504 if "page" in form else 200)
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            answer.json()
    assert len(upstream.got) == (0 if form in UNSENT else 1)
    assert world.post().json() == BODY
    assert len(world.told) == len(upstream.got)


def test_a_wrong_id_is_none_that_the_vendor_gave(world: World) -> None:
    world.planted.begin([Fault(DEPLOY, WrongId())])
    assert world.post().json()["deployment_id"] != "7"
    assert json.loads(world.told[0][1].body) == BODY


def test_the_nth_call_of_its_kind_is_hit_and_each_command_counts_anew(world: World) -> None:
    gets = Calls("get", method="GET")
    world.planted.begin([Fault(DEPLOY, Lose("page"), nth=2), Fault(gets, Lose("page"))])
    assert [world.post().status_code for _ in range(3)] == [200, 504, 200]
    assert requests.get(world.proxy.url, timeout=5).status_code == 504
    world.planted.begin([Fault(ANY, Lose("page"), nth=2)])
    assert [world.post().status_code for _ in range(3)] == [200, 504, 200]


def test_a_storm_answers_all_calls_of_its_kind_for_a_time(world: World, upstream: Upstream) -> None:
    world.planted.begin([Fault(ANY, Storm(503, 1.0), nth=2)])
    assert [world.post().status_code for _ in range(3)] == [200, 503, 503]
    world.planted.begin([])  # another command
    assert world.post().status_code == 503
    time.sleep(1.0)
    assert world.post().status_code == 200
    assert len(upstream.got) == 2


def test_a_held_call_lands_although_its_client_is_gone(world: World, upstream: Upstream) -> None:
    world.planted.begin([Fault(DEPLOY, Hold(1.0))])
    with pytest.raises(requests.ReadTimeout):
        world.post(timeout=0.3)
    assert upstream.got == []
    world.planted.clean()
    assert world.planted.settle(within_s=10)
    assert len(upstream.got) == 1


def test_what_happens_at_a_call_happens_before_it_is_sent_or_after_it_was_answered(
    world: World, upstream: Upstream
) -> None:
    for when in ("unsent", "sent", "answered"):
        kill = Kill("all")
        world.planted.begin([Fault(DEPLOY, Do(kill, when))])
        before = len(upstream.got)
        if when == "unsent":
            with pytest.raises(requests.ConnectionError):
                world.post()
        else:
            assert world.post().json() == BODY
        assert world.done[-1] == (kill, before + (when == "answered"))
        assert len(upstream.got) == before + (when != "unsent")
