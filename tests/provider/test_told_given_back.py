"""Whoever the config names is told that a machine bills no more, whichever command ended it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.caas_place import CaasPlace
from tests.loopback_server import LoopbackServer, QuietHandler
from tests.provider.builders import PREFIX, deployment
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import ProviderProcess
from tests.provider.run_in_bucket import RunInBucket
from tests.provider.test_reap import World, entry


class Hook:
    """A webhook of the test's own."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        hook = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:  # noqa: N802  # the name that the library calls
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.told.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

        self.server = LoopbackServer(Handler)

    @property
    def url(self) -> str:
        return f"{self.server.url}/hook"


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.server.stop()


def test_a_destroy_tells_it_once(
    process: ProviderProcess, r2: FakeR2, caas: CaasPlace, hook: Hook
) -> None:
    inputs, failures = process.check(deployment(r2.url, notifyUrl=hook.url))
    assert not failures
    id_, state = process.create(inputs)
    process.delete(id_, state)
    process.delete(id_, state)  # as after a kill before the state was written
    (told,) = hook.told
    assert (told["event"], told["run"], told["prefix"]) == ("given back", "main", PREFIX)
    assert "nothing bills for it any more" in told["text"]


@pytest.mark.parametrize("command", ["stop", "reap"])
def test_so_does_a_command_that_knows_the_stack(
    caas: CaasPlace, r2: FakeR2, tmp_path: Path, hook: Hook, command: str
) -> None:
    world = World(caas, r2, tmp_path)
    machine = world.machine()
    world.ledger(entry(machine))
    prefix = "dev-main-0a1b2c3d-feed0002"
    RunInBucket(r2=r2, prefix=prefix).saves_and_ends()
    outputs = {"r2_prefix": prefix, "deployment_id": machine, "bucket": BUCKET}
    config = {
        "trainstack:cloud": {"value": "local"},
        "trainstack:bucket": {"value": BUCKET},
        "trainstack:notifyUrl": {"secret": True},
    }
    state = {"deployment": {"resources": [{"urn": "d", "id": machine}]}}
    answers = {
        "*export*": state,
        "*config?get*": {"value": hook.url},
        "*config*": config,
        "*": outputs,
    }
    cases = "".join(f"{words}) echo '{json.dumps(said)}';; " for words, said in answers.items())
    world.pulumi(f'case "$*" in {cases}esac')
    words = ["stop", "main"] if command == "stop" else ["reap", machine, "--yes", "--force"]
    done = world.runs(*words, "--stack", "dev")
    (told,) = hook.told
    assert (told["event"], told["run"]) == ("given back", "main")
    assert hook.url not in done.stdout + done.stderr
