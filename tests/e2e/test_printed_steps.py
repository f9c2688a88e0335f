"""What `python -m localcloud start` prints to type next, typed: each step leads to the next."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from localcloud.place import CHECKOUT, Place
from localcloud.pulumi.stack import STACK

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.e2e, pytest.mark.timeout(900)]
UNASKED = "--yes --skip-preview"


def typed(*lines: str) -> subprocess.CompletedProcess[str]:
    """Type lines in one shell that stops at the first that fails."""
    return subprocess.run(
        ["bash", "-ec", "\n".join(lines)], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def steps(local_place: Place) -> Iterator[list[str]]:
    """Start the cloud as its user does; yield what it says to type; give back what that rented."""
    start = [sys.executable, "-m", "localcloud", "start"]
    started = subprocess.run(
        start, cwd=CHECKOUT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
    said = started.stderr.split("Next, from a shell of your own:\n")[1].splitlines()
    steps = [line.split("#")[0].strip() for line in said]
    yield steps
    given_back = typed(steps[0], f"pulumi destroy --stack {STACK} {UNASKED}")
    assert given_back.returncode == 0, given_back.stderr


def test_each_step_that_start_prints_leaves_one_able_to_take_the_next(steps: list[str]) -> None:
    """After the `source`, `pulumi` had neither a folder for its state nor plugins.

    https://github.com/pulumi/pulumi/issues/15841
    """
    unasked = [f"{step} {UNASKED}" if step.startswith("pulumi") else step for step in steps]
    done = typed(*unasked, "echo left: ${PULUMI_HOME-}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deployment_id" in done.stdout
    assert done.stdout.splitlines()[-1] == "left:"
