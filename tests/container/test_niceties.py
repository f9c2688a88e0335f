"""What is nice to have never ends paid work: the page, the look back, the container's own log."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from container.contract.clock import Clock
from container.contract.records import RecordError, RunStatus
from container.storage.bucket import RunBucket
from container.telemetry.nanochat_log import parse_line
from container.telemetry.run_log import RunLog
from container.telemetry.run_status import LiveStatus
from container.web.status_page import StatusPage
from tests.container.conftest import Launch
from tests.container.recipes import fake_recipe, trainer_stage

DAMAGED: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"\xff\xfe",
    b'{"schema": 1}',
    b'{"schema": "1", "run": "main"}',
    b'{"schema": 1, "run": "main", "attempt": 1, "recipe": "r", "stage": "s", "stages": 7}',
    b'{"schema": 1, "run": "main", "attempt": 1, "recipe": "r", "stage": "s", "stages": [7]}',
    b'{"schema": 1, "run": "m", "attempt": 1, "recipe": "r", "stages": [{"elapsed_s": "long"}]}',
    b'{"schema": 1, "run": "m", "attempt": [], "recipe": {}, "stage": 1, "step": "x", "loss": "y"}',
]


@pytest.mark.parametrize("raw", DAMAGED[:9], ids=range(9))
def test_a_damaged_status_is_an_error_of_the_expected_class(raw: bytes) -> None:
    with pytest.raises(RecordError):
        RunStatus.from_json(raw)


@pytest.mark.parametrize("raw", [DAMAGED[2], DAMAGED[7], DAMAGED[9]])
def test_a_past_that_cannot_be_read_costs_the_view_of_it(
    launch: Launch, bucket: RunBucket, raw: bytes
) -> None:
    """A status with a member of another type ended the supervisor at its start."""
    bucket.put("status.json", raw)
    bucket.put("metrics/1-00000.jsonl", b'{"stage": [], "step": "x", "loss": {}}\nnot json\n')
    run = launch(fake_recipe(trainer_stage()))
    assert run.verdict().outcome == "succeeded", run.log


class Broken(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


def live_status() -> LiveStatus:
    return LiveStatus(run="m", recipe="r", price_usd_per_hour=Decimal(1), clock=Clock())


def test_a_container_log_that_nobody_takes_any_more_ends_nothing(tmp_path: Path) -> None:
    status = live_status()
    log = RunLog(folder=tmp_path, live_status=status, clock=Clock(), out=Broken())
    log.event("still here")
    assert "still here" in status.log_lines[-1]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("0.0.0.0", 0)) as one:
        yield one.getsockname()[1]


def test_a_page_whose_port_is_taken_is_served_elsewhere(taken: int) -> None:
    status = live_status()
    page = StatusPage(status, port=taken, access_token="t")
    page.start()
    assert page.port != taken
    page.stop()


@pytest.mark.parametrize(
    "line",
    [
        "Using user-provided number of iterations: ,",
        f"step {'9' * 5000}/1 (1.0%) | loss: 1 | lrm: 1 | dt: 1ms | tok/sec: 1 | mfu: 1",
        f"Step {'9' * 5000} | Validation bpb: 1",
    ],
)
def test_a_line_with_a_number_that_is_none_is_just_a_line(line: str) -> None:
    assert parse_line(line) is None


def test_the_status_of_another_release_is_read_all_the_same() -> None:
    told = {"schema": 1, "run": "m", "attempt": 1, "recipe": "r", "stage": "s", "later": [1]}
    assert RunStatus.from_json(json.dumps(told)).no_verdict == ""
