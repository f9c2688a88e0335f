"""The remedies of `python -m runs`."""

from __future__ import annotations

from tests.remedies.row import Row

ROWS: tuple[Row, ...] = ()
