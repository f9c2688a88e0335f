"""Running stand-ins for the contract tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.caas_place import CaasPlace
from tests.contract.in_memory_runtime import InMemoryRuntime


@pytest.fixture
def runtime() -> InMemoryRuntime:
    return InMemoryRuntime()


@pytest.fixture
def caas(tmp_path: Path, runtime: InMemoryRuntime) -> Iterator[CaasPlace]:
    """The CaaS stand-in, renting containers that exist only in memory."""
    place = CaasPlace(tmp_path, runtime)
    yield place
    runtime.pull_may_end.set()
    place.stop()
