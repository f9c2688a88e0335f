"""Background processes: started once, found again, never confused with a stranger's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from localcloud.errors import PortTakenError, ServiceFailedError
from localcloud.probe import connects
from localcloud.processes import Service, Supervised

SERVES = """
import signal, socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("serving", flush=True)
while True:
    listening.accept()[0].close()
"""
IGNORES_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES
SPAWNS = "import subprocess, sys; subprocess.Popen(['sleep', '600'])\n" + SERVES


@pytest.fixture
def supervised(tmp_path: Path) -> Supervised:
    return Supervised(tmp_path / "run", tmp_path / "log")


@pytest.fixture
def service(supervised: Supervised) -> Iterator[Service]:
    declared = _service(SERVES)
    yield declared
    supervised.stop(declared)


def test_it_runs_after_start_and_is_gone_after_stop(
    supervised: Supervised, service: Service
) -> None:
    assert supervised.start(service)
    process = supervised.process("demo")
    assert process is not None and service.healthy()
    assert supervised.stop(service)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    assert list(supervised.run_folder.iterdir()) == []
    assert not supervised.stop(service)


def test_a_second_start_leaves_it_alone(supervised: Supervised, service: Service) -> None:
    supervised.start(service)
    before = supervised.process("demo")
    assert not supervised.start(service)
    assert supervised.process("demo") == before


def test_a_killed_one_is_started_again(supervised: Supervised, service: Service) -> None:
    supervised.start(service)
    killed = supervised.process("demo")
    assert killed is not None
    killed.kill()
    psutil.wait_procs([killed], timeout=10)
    assert supervised.process("demo") is None
    assert supervised.start(service)
    assert supervised.process("demo") not in (None, killed)


def test_one_can_be_found_and_ended_by_its_pid_file_alone(
    supervised: Supervised, service: Service
) -> None:
    supervised.start(service)
    supervised.pid_path("stale").write_text('{"pid": 1, "created": 0}')
    assert list(supervised.recorded()) == ["demo"]
    assert supervised.stop_recorded() == ["demo"]
    assert supervised.recorded() == {} and not service.healthy()


def test_one_that_was_declared_otherwise_is_replaced(
    supervised: Supervised, service: Service, tmp_path: Path
) -> None:
    source = tmp_path / "source.py"
    source.write_text("1")
    supervised.start(replace(service, sources=[source]))
    before = supervised.process("demo")
    source.write_text("2")
    assert supervised.start(replace(service, sources=[source]))
    assert supervised.process("demo") != before


def test_one_that_was_started_by_another_command_is_found_by_its_name_and_replaced(
    supervised: Supervised, service: Service
) -> None:
    """A module that moved must not leave the process of its old name on the port."""
    supervised.start(service)
    before = supervised.process("demo")
    assert before is not None
    assert supervised.start(replace(service, command=[*service.command, "moved"]))
    assert supervised.process("demo") not in (None, before)
    assert not before.is_running() or before.status() == psutil.STATUS_ZOMBIE


def test_one_that_lives_but_does_not_answer_is_replaced(
    supervised: Supervised, service: Service
) -> None:
    supervised.start(service)
    hung = supervised.process("demo")
    assert hung is not None
    answers = iter([False] * 1000)

    def healthy() -> bool:
        # Deaf until it is another process.
        return service.healthy() if supervised.process("demo") != hung else next(answers)

    assert supervised.start(replace(service, healthy=healthy))
    assert supervised.process("demo") not in (None, hung)


def test_a_recycled_pid_is_not_ours_and_not_signalled(
    supervised: Supervised, service: Service
) -> None:
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        supervised.run_folder.mkdir(parents=True)
        record = {"pid": stranger.pid, "created": psutil.boot_time(), "fingerprint": "x"}
        supervised.pid_path("demo").write_text(json.dumps(record))
        assert supervised.process("demo") is None
        supervised.stop(service)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": "x", "created": 1}'])
def test_a_damaged_pid_file_counts_as_not_running(supervised: Supervised, content: str) -> None:
    supervised.run_folder.mkdir(parents=True)
    supervised.pid_path("demo").write_text(content)
    assert supervised.process("demo") is None


def test_one_that_ends_at_once_is_reported_with_its_last_words_and_its_log(
    supervised: Supervised,
) -> None:
    failing = replace(_service("raise SystemExit('the disk is full')"), healthy=lambda: False)
    with pytest.raises(ServiceFailedError) as caught:
        supervised.start(failing)
    said = str(caught.value)
    assert "exit code 1" in said and "the disk is full" in said
    assert str(supervised.log_path("demo")) in said


def test_one_that_never_answers_is_ended_and_reported(supervised: Supervised) -> None:
    deaf = replace(
        _service("import time; time.sleep(600)"), healthy=lambda: False, start_timeout_s=0.5
    )
    with pytest.raises(ServiceFailedError, match=r"did not answer within 0\.5 s"):
        supervised.start(deaf)
    assert supervised.process("demo") is None


def test_a_taken_port_names_who_holds_it(supervised: Supervised, service: Service) -> None:
    with (
        socket.create_server(("127.0.0.1", service.ports[0])),
        pytest.raises(PortTakenError, match=f"process {os.getpid()}"),
    ):
        supervised.start(service)
    assert supervised.start(service), "once the holder has ended"


def test_one_that_ignores_the_request_is_killed(supervised: Supervised) -> None:
    stubborn = replace(_service(IGNORES_TERM), stop_timeout_s=0.3)
    supervised.start(stubborn)
    assert supervised.stop(stubborn)
    assert not connects("127.0.0.1", stubborn.ports[0])


def test_children_do_not_outlive_it(supervised: Supervised) -> None:
    parent = replace(_service(SPAWNS), stop_timeout_s=0.3)
    supervised.start(parent)
    process = supervised.process("demo")
    assert process is not None
    children = process.children()
    assert children
    supervised.stop(parent)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            assert child.status() == psutil.STATUS_ZOMBIE


def test_a_cancelled_start_leaves_nothing(supervised: Supervised) -> None:
    cancelled = threading.Event()
    cancelled.set()
    slow = replace(_service("import time; time.sleep(600)"), healthy=lambda: False)
    with pytest.raises(ServiceFailedError, match="stopped while it was starting"):
        supervised.start(slow, cancelled=cancelled)
    assert supervised.process("demo") is None
    again = replace(_service(SERVES), name=slow.name)
    assert supervised.start(again), "the same again goes on"
    supervised.stop(again)


def test_a_large_log_is_set_aside_at_the_next_start(
    supervised: Supervised, service: Service
) -> None:
    supervised.log_folder.mkdir(parents=True)
    supervised.log_path("demo").write_bytes(b"x" * (6 << 20))
    supervised.start(service)
    assert supervised.log_path("demo").stat().st_size < 1000


def test_secrets_in_its_environment_are_in_no_repr_and_not_in_the_pid_file(
    supervised: Supervised, service: Service
) -> None:
    secretive = replace(service, env={"KEY": "s3cr3t-value"})
    supervised.start(secretive)
    assert "s3cr3t-value" not in repr(secretive)
    assert "s3cr3t-value" not in supervised.pid_path("demo").read_text()


def _service(program: str) -> Service:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return Service(
        name="demo",
        purpose="a demonstration",
        address=f"127.0.0.1:{port}",
        command=[sys.executable, "-c", program, str(port)],
        healthy=lambda: connects("127.0.0.1", port),
        ports=[port],
    )
