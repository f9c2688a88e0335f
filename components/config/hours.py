"""How many whole hours are bought for a run, from how long it is expected to take; pure.

Hours are sold whole and, as far as anyone knows, not taken back; a live machine can be given more.
So the margin is for what is likely, not for the worst: docs/decisions.md has its reasons.
"""

from __future__ import annotations

import math
from typing import Final

MARGIN: Final = 0.2
"""Of the run's hours: the recipes' own figures give one another's within a fifth."""

LEAST_MARGIN_HOURS: Final = 0.25
"""To pull the image and to start: it does not get shorter with the run."""

_TOO_LITTLE_TO_TELL: Final = 6  # decimals of an hour: 2.5 h and its margin are 3 h


def to_buy(expected_hours: float) -> int:
    """Return the whole hours that a run of so many hours is bought, its margin included."""
    return max(whole(with_margin(expected_hours)), 1)


def whole(hours: float) -> int:
    """Return the whole hours that so many are sold as."""
    return math.ceil(round(hours, _TOO_LITTLE_TO_TELL))


def with_margin(expected_hours: float) -> float:
    """Return a run's hours with the margin that is bought besides."""
    return expected_hours + max(MARGIN * expected_hours, LEAST_MARGIN_HOURS)
