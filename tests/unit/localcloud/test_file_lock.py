"""A lock file keeps others out until its holder is done, however that ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from localcloud.file_lock import alone
from tests import ROOT

HOLD = """
import sys
from pathlib import Path
from localcloud.file_lock import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_says_that_it_waits_and_goes_on_when_the_first_is_done(
    tmp_path: Path,
) -> None:
    order: list[str] = []
    waits = threading.Event()

    def second() -> None:
        with alone(tmp_path / "lock", waiting=waits.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with alone(tmp_path / "lock"):
        thread.start()
        assert waits.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_nobody_waits_for_a_lock_that_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        with alone(tmp_path / "new folder" / "lock", waiting=lambda: pytest.fail("it waited")):
            pass


def test_a_holder_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    with alone(tmp_path / "lock", waiting=lambda: pytest.fail("it waited")):
        pass
