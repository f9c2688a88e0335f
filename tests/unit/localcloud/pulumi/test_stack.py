"""After a killed engine: which lock may be released, and which processes are its orphans."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from localcloud.pulumi.stack import (
    PROJECT,
    STACK,
    Lock,
    Stack,
    StackError,
    is_engines_child,
    judge_lock,
    orphans_of,
)

HERE = "here"
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


@pytest.mark.parametrize(
    ("hostname", "pid", "engines", "expected"),
    [
        (HERE, 100, {100, 200}, "held"),
        (HERE, 100, {200}, "stale"),
        (HERE, 100, set[int](), "stale"),
        ("elsewhere", 100, set[int](), "unknown"),
        ("elsewhere", 100, {100}, "unknown"),
    ],
    ids=[
        "its engine is alive",
        "another engine is alive, its own is not",
        "no engine is alive",
        "another host proves nothing",
        "another host proves nothing, though the number is in use here",
    ],
)
def test_a_lock_is_stale_only_when_its_engine_is_proven_dead(
    hostname: str, pid: int, engines: set[int], expected: str
) -> None:
    lock = Lock(Path("lock.json"), pid=pid, hostname=hostname)
    assert judge_lock(lock, this_host=HERE, engine_pids=frozenset(engines)) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (
            "/c/.venv/bin/python -I /c/localcloud/pulumi/plugins/start.py docker_plugin 1.1.1.1:1",
            True,
        ),
        # Of an older checkout, whose engine was killed before the files moved.
        ("/c/.venv/bin/python -I /c/localcloud/plugins/start.py docker_plugin 1.1.1.1:1", True),
        ("/c/.venv/bin/python -u -m pulumi.dynamic 127.0.0.1:1", True),
        ("/c/.venv/bin/python -I -u /e/host/language_host.py 127.0.0.1:1", True),
        ("/c/.venv/bin/python -u /e/host/run_program.py", True),
        ("/bin/sh /e/pulumi-resource-pulumi-python 127.0.0.1:1", True),
        ("/home/u/.pulumi/plugins/resource-command/pulumi-resource-command 127.0.0.1:1", True),
        ("pulumi up --yes", False),
        ("vim Pulumi.dev.yaml", False),
        ("tail -f /c/localcloud/pulumi/plugins/start.py", False),
        (
            "/c/.venv/bin/python -m pytest tests/unit/test_plugins.py -k pulumi",
            False,
        ),
        ("bash -c . .local/env; pulumi up", False),
        ("", False),
    ],
)
def test_only_what_an_engine_starts_is_taken_for_its_child(command: str, expected: bool) -> None:
    assert is_engines_child(command.split()) is expected


@pytest.fixture
def adopting() -> Iterator[None]:
    """Make this process a subreaper, as `systemd --user` is: orphans become its children."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def test_a_provider_is_an_orphan_once_its_engine_is_dead_whoever_adopts_it(
    tmp_path: Path, adopting: None
) -> None:
    """They were looked for among the children of process 1 only."""
    home = str(tmp_path / "home")
    provider = tmp_path / "localcloud/pulumi/plugins/start.py"
    provider.parent.mkdir(parents=True)
    provider.write_text("import time\ntime.sleep(600)\n")
    engine = tmp_path / "pulumi"
    engine.write_text(f"#!/bin/sh\n{sys.executable} -I {provider} demo &\necho $!\nwait\n")
    engine.chmod(0o755)
    running = subprocess.Popen(
        [engine], env={**os.environ, "PULUMI_HOME": home}, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    child = psutil.Process(int(running.stdout.readline()))
    try:
        while str(provider) not in child.cmdline():  # until the shell's copy has become it
            assert child.is_running()
        assert orphans_of(home) == [], "its engine lives"
        running.kill()
        running.wait()
        assert child.ppid() == os.getpid()
        assert orphans_of(str(tmp_path / "another home")) == []
        assert orphans_of(home) == [child]
    finally:
        running.kill()
        running.wait()
        child.kill()
        child.wait(10)


def test_a_lock_that_cannot_be_read_is_none_once_it_is_deleted(tmp_path: Path) -> None:
    stack = Stack(tmp_path, env={"PULUMI_BACKEND_URL": f"file://{tmp_path}"})
    lock = tmp_path / ".pulumi/locks/organization" / PROJECT / STACK / "half.json"
    lock.parent.mkdir(parents=True)
    lock.write_text('{"pid": 1')
    with pytest.raises(StackError, match="delete it and try again"):
        stack.heal()
    lock.unlink()
    assert not stack.heal()
