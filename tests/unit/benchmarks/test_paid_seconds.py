"""The benchmark of paid seconds gives up when one of its two sides does."""

from __future__ import annotations

import subprocess
from typing import Any, cast

import pytest

from benchmarks.paid_seconds import has_ended_well, has_succeeded
from container.storage.bucket import RunBucket


class Ended:
    """A process that ended with a status, or runs when that is None."""

    def __init__(self, status: int | None) -> None:
        self.status = status

    def poll(self) -> int | None:
        return self.status


class EmptyBucket:
    def get(self, key: str) -> None:
        return None


def process(status: int | None) -> subprocess.Popen[bytes]:
    return cast("subprocess.Popen[bytes]", Ended(status))


def bucket() -> RunBucket:
    return cast("RunBucket", cast("Any", EmptyBucket()))


def test_a_supervisor_that_ends_without_a_verdict_is_not_waited_for() -> None:
    assert not has_succeeded(bucket(), process(None))
    with pytest.raises(RuntimeError, match="ended with -9 and no verdict"):
        has_succeeded(bucket(), process(-9))


def test_a_script_that_failed_is_not_counted_as_finished() -> None:
    assert not has_ended_well(process(None))
    assert has_ended_well(process(0))
    with pytest.raises(RuntimeError, match="ended with 1"):
        has_ended_well(process(1))
