"""A provider outlives its engine: it looks before it rents, and ends by itself."""

from __future__ import annotations

import pytest

from components.ionet import engine_watchdog
from components.ionet.errors import (
    EngineGoneError,
)


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
