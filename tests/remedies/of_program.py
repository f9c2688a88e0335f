"""The remedies of what runs in `pulumi up` and on the rented machine."""

from __future__ import annotations

from tests.remedies.row import Row

ROWS: tuple[Row, ...] = ()
