"""The remedies of the local cloud and of `make`."""

from __future__ import annotations

from tests.remedies.row import Row

ROWS: tuple[Row, ...] = ()
