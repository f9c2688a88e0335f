"""How many machines of a run did not work, and whether another one makes sense; pure, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from components.ledger import budget
from components.ledger.page import Entry, Page
from container.contract.dollars import dollars


@dataclass(frozen=True, kw_only=True)
class AnotherTry:
    """Whether the same `pulumi up` once more can do better, and why."""

    makes_sense: bool
    why: str


def used_up(page: Page, identity: str, *, attempts: int) -> tuple[Entry, ...]:
    """Return the rentals whose machines did not work, once they are all that a run may try.

    No number of attempts, as in a state of before they were counted, is no limit.
    """
    refused = page.refused(identity)
    return refused if attempts and len(refused) >= attempts else ()


def another_try(page: Page, *, attempts: int, cap_usd: Decimal) -> AnotherTry:
    """Tell whether an update that failed is worth repeating.

    It is after a machine that did not work; any other failure is the same the next time.
    """
    rentals = [one for one in page.entries if one.state != "lost"]
    if not rentals:
        return AnotherTry(makes_sense=False, why="nothing was rented")
    last = rentals[-1]
    if not last.refused:
        return AnotherTry(makes_sense=False, why="its last machine was not found bad")
    tried = len(page.refused(last.identity))
    what = f"machine {tried} of {attempts} did not work ({last.refused})"
    if last.is_open:
        return AnotherTry(makes_sense=True, why=f"{what}, and is still to be given back")
    if used_up(page, last.identity, attempts=attempts):
        return AnotherTry(makes_sense=False, why=f"{what}: no attempt is left")
    left = budget.of_page(page, cap_usd=cap_usd).left_usd
    needed = last.usd + last.rest_usd
    if needed > left:
        short = f"{dollars(left)} of its budget are left, and another would need {dollars(needed)}"
        return AnotherTry(makes_sense=False, why=f"{what}; {short}")
    return AnotherTry(makes_sense=True, why=f"{what}; {dollars(left)} of its budget are left")
