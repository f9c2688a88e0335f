"""Which lock of a killed engine may be released, and which may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.stack import Lock, judge_lock

HERE = "here"


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
