"""What is said of a machine whose run has ended and that is rented all the same; pure.

Whatever looks at a run says it, in these words. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from container.contract.dollars import dollars


@dataclass(frozen=True, kw_only=True)
class StillRented:
    """One such machine, as far as whoever looks knows it."""

    hours_left: tuple[float, float] | None  # the fewest and the most; None: not told
    command: str = ""  # that gives it back
    charged_usd: Decimal | None = None
    hours_bought: float | None = None
    used_usd: float = 0.0  # time × price, as the machine counted it

    def __str__(self) -> str:
        end = f"; `{self.command}` gives it back" if self.command else ""
        return f"{self._money()}machine STILL RENTED{self._left()}{end}"

    def _money(self) -> str:
        if self.charged_usd is None:
            return ""
        used = f"{dollars(Decimal(str(self.used_usd)))} of it used"
        bought = "" if self.hours_bought is None else f"{self.hours_bought:g} h prepaid, "
        return f"charged {dollars(self.charged_usd)} ({bought}{used}); "

    def _left(self) -> str:
        if self.hours_left is None:
            return ""
        fewest, most = (f"{hours:.1f}" for hours in self.hours_left)
        return f" {most} h" if fewest == most else f" {fewest} to {most} h"


def hours_at_most(hours_bought: float, *, used_s: float) -> float:
    """Return what is left of the hours first bought, for a container that was told of no end.

    At most, as the machine was there before it.
    """
    return max(hours_bought - used_s / 3600, 0.0)
