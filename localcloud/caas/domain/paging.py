"""Cuts one page out of a list; whether the first page is 0 or 1 is not documented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from localcloud.caas.domain.cloud import Cloud

Row = TypeVar("Row")


def cut(cloud: Cloud, rows: Sequence[Row], *, page_number: int, page_size: int) -> Sequence[Row]:
    """Return the rows of a page; empty beyond the last one and before the first."""
    base = cloud.switches.current.page
    index = page_number if base == "zero_based" else page_number - 1
    if base == "zero_and_one":
        index = max(0, index)
    return rows[index * page_size : (index + 1) * page_size] if index >= 0 else []
