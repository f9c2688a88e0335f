"""How numbers read."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from runs.terminal import formats


@pytest.mark.parametrize(
    ("write", "number", "expected"),
    [
        (formats.size, 0, "0 B"),
        (formats.size, 999, "999 B"),
        (formats.size, 1000, "1.00 kB"),
        (formats.size, 9_994, "9.99 kB"),
        (formats.size, 9_996, "10.0 kB"),
        (formats.size, 99_960, "100 kB"),
        (formats.size, 999_499, "999 kB"),
        (formats.size, 999_600, "1.00 MB"),
        (formats.size, 120e9, "120 GB"),
        (formats.size, 5.5e15, "5500 TB"),
        (formats.duration, -1, "0s"),
        (formats.duration, 59.4, "59s"),
        (formats.duration, 59.6, "1m 00s"),
        (formats.duration, 125, "2m 05s"),
        (formats.duration, 3599.9, "1h 00m"),
        (formats.duration, 16_260, "4h 31m"),
        (formats.duration, 266_400, "3d 02h"),
        (formats.usd, 0, "$0.00"),
        (formats.usd, 0.001, "<$0.01"),
        (formats.usd, 0.005, "$0.01"),
        (formats.usd, 1234.5, "$1,234.50"),
        (formats.usd, Decimal("139.376712328767"), "$139.38"),
        (formats.count, 5120, "5,120"),
        (formats.count, 99_999.6, "100k"),
        (formats.count, 1_354_000, "1.35M"),
        (formats.loss, None, "-"),
        (formats.loss, 3.21456, "3.2146"),
        (formats.when, "2026-11-23T10:00:00Z", "2026-11-23 10:00"),
        (formats.when, "2026-11-23T12:00:00+02:00", "2026-11-23 10:00"),
        (formats.when, "2026-11-23T10:00:00", "2026-11-23 10:00"),
        (formats.when, "", "-"),
        (formats.flat, "two\nlines \x1b]0;t\x07 and a bell", "two lines ]0;t and a bell"),
    ],
)
def test_a_number_reads(write: Callable[[Any], str], number: Any, expected: str) -> None:
    assert write(number) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([1.0], "▁"),
        ([2.0, 2.0], "▁▁"),
        ([8.0, 4.0, 1.0], "█▄▁"),
        ([float(n) for n in range(100, 0, -1)], "█▆▅▃▁"),
    ],
)
def test_a_sparkline_has_the_last_value_and_fits(values: list[float], expected: str) -> None:
    assert formats.sparkline(values, width=5) == expected
