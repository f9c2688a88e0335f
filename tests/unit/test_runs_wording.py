"""How numbers read."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from runs import wording


@pytest.mark.parametrize(
    ("write", "number", "expected"),
    [
        (wording.size, 0, "0 B"),
        (wording.size, 999, "999 B"),
        (wording.size, 1000, "1.00 kB"),
        (wording.size, 9_994, "9.99 kB"),
        (wording.size, 9_996, "10.0 kB"),
        (wording.size, 99_960, "100 kB"),
        (wording.size, 999_499, "999 kB"),
        (wording.size, 999_600, "1.00 MB"),
        (wording.size, 120e9, "120 GB"),
        (wording.size, 5.5e15, "5500 TB"),
        (wording.duration, -1, "0s"),
        (wording.duration, 59.4, "59s"),
        (wording.duration, 59.6, "1m 00s"),
        (wording.duration, 125, "2m 05s"),
        (wording.duration, 3599.9, "1h 00m"),
        (wording.duration, 16_260, "4h 31m"),
        (wording.duration, 266_400, "3d 02h"),
        (wording.usd, 0, "$0.00"),
        (wording.usd, 0.001, "<$0.01"),
        (wording.usd, 0.005, "$0.01"),
        (wording.usd, 1234.5, "$1,234.50"),
        (wording.usd, Decimal("139.376712328767"), "$139.38"),
        (wording.count, 5120, "5,120"),
        (wording.count, 99_999.6, "100k"),
        (wording.count, 1_354_000, "1.35M"),
        (wording.loss, None, "-"),
        (wording.loss, 3.21456, "3.2146"),
        (wording.when, "2026-11-23T10:00:00Z", "2026-11-23 10:00"),
        (wording.when, "2026-11-23T12:00:00+02:00", "2026-11-23 10:00"),
        (wording.when, "2026-11-23T10:00:00", "2026-11-23 10:00"),
        (wording.when, "", "-"),
        (wording.flat, "two\nlines \x1b]0;t\x07 and a bell", "two lines ]0;t and a bell"),
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
    assert wording.sparkline(values, width=5) == expected
