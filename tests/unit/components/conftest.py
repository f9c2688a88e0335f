"""A vendor's API on loopback, for the clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.components.vendor_double import Vendor


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    made = Vendor()
    yield made
    made.stop()
