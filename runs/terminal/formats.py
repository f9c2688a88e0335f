"""How numbers read in a terminal: sizes, durations, money, counts; no decisions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from container.contract.clock import moment
from container.contract.dollars import CENT
from container.contract.dollars import dollars as in_dollars

_BLOCKS = "▁▂▃▄▅▆▇█"


def size(size_bytes: float) -> str:
    """Write a size in decimal units, three digits at most: `512 B`, `1.23 MB`, `120 GB`."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        size_bytes /= 1000
        if size_bytes < 999.5 or unit == "TB":
            digits = 2 if size_bytes < 9.995 else 1 if size_bytes < 99.95 else 0
            return f"{size_bytes:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """Write a duration with two units at most: `8s`, `2m 05s`, `4h 31m`, `3d 02h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02}h"


def usd(dollars: float | Decimal) -> str:
    """Write an amount rounded to cents; what is not nothing but rounds to it reads `<$0.01`."""
    exact = dollars if isinstance(dollars, Decimal) else Decimal(str(dollars))
    return "<$0.01" if 0 < exact < CENT / 2 else in_dollars(exact)


def count(number: float) -> str:
    """Write a count in full below 100,000, then short: `5,120`, `512k`, `1.35M`."""
    if number < 99_999.5:
        return f"{number:,.0f}"
    if number < 999_500:
        return f"{number / 1000:.0f}k"
    return f"{number / 1_000_000:.2f}M"


def loss(value: float | None) -> str:
    """Write a loss with four decimals, or a dash."""
    return "-" if value is None else f"{value:.4f}"


def sparkline(values: Sequence[float], *, width: int) -> str:
    """Draw values as a row of blocks, as many as fit, evenly picked; the last is always there."""
    if not values:
        return ""
    stride = max(1.0, (len(values) - 1) / max(1, width - 1))
    count_shown = min(width, len(values))
    picked = [values[-1 - round(n * stride)] for n in range(count_shown)][::-1]
    low, high = min(picked), max(picked)
    if not high > low:
        return _BLOCKS[0] * len(picked)
    top = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((value - low) / (high - low) * top)] for value in picked)


def flat(text: str) -> str:
    """Return text that a machine wrote as one line that cannot steer a terminal."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def plural(number: int, noun: str) -> str:
    """Write a number with its noun: `1 object`, `1,204 objects`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def when(text: str) -> str:
    """Write a recorded time to the minute, in UTC, or a dash."""
    time = moment(text)
    return "-" if time is None else time.strftime("%Y-%m-%d %H:%M")
