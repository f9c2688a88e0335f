"""Dollars are reserved right before they are asked for, whatever they are asked for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

import pytest

from components.ionet.errors import IonetError, NoOfferError, NotRecordedError, UnclearError
from components.ionet.rental.reserve import reserve
from components.ionet.rental.waiting import SEND_WITHIN_S, Clock
from components.ledger.ledger import Edit, Ledger, LedgerError, Reading
from components.ledger.page import Owner, Page
from tests.provider.sim_services import SimLedger
from tests.provider.sim_world import World
from tests.unit.components.ledger.test_page import entry

OWNER = Owner(project="trainstack", stack="dev", run="main")


class Thing:
    """Something for sale: its price is what is reserved."""

    owner, what, still = OWNER, "rent", "Nothing was rented."

    def usd(self, priced: Decimal) -> Decimal:
        return priced

    def reserving(self, priced: Decimal) -> Edit:
        return lambda page, now: page.put(entry(intent="mine", asked_at=now, usd=priced))

    def not_recorded(self, error: LedgerError) -> NotRecordedError:
        return NotRecordedError(f"{error} Nothing was rented.")

    def take_back(self, ledger: Ledger) -> None:
        ledger.edit(OWNER, lambda page, _now: page.without("mine"))


@pytest.fixture
def world() -> World:
    return World(chance=random.Random(1))  # noqa: S311  # nothing is drawn


def reserved(world: World) -> list[Decimal]:
    page = world.pages.get(OWNER.key)
    return [one.usd for one in page.entries] if page else []


def prices(*told: str) -> Callable[[], Decimal]:
    left = list(told)

    def quote() -> Decimal:
        return Decimal(left.pop(0) if len(left) > 1 else left[0])

    return quote


@pytest.mark.parametrize(
    ("told", "bought"),
    [
        (("10",), "10"),
        (("9",), "9"),
        (("11", "11"), "11"),
        (("11", "12", "12"), "12"),
        (("11", "10.5"), "10.5"),
    ],
)
def test_what_became_dearer_is_reserved_before_it_is_bought(
    world: World, told: Sequence[str], bought: str
) -> None:
    ledger, clock = SimLedger(world), world.clock()
    priced = reserve(Thing(), Decimal(10), quote=prices(*told), ledger=ledger, clock=clock)
    assert priced == Decimal(bought)
    assert reserved(world) >= [priced]


@pytest.mark.parametrize("slept_s", [SEND_WITHIN_S + 1, -3600.0])
def test_a_laptop_that_slept_or_whose_clock_was_set_reserves_again(
    world: World, slept_s: float
) -> None:
    told = [100.0, 100.0 + slept_s, 5000.0, 5001.0]
    clock = Clock(wall=lambda: told.pop(0))
    reserve(Thing(), Decimal(10), quote=prices("10"), ledger=SimLedger(world), clock=clock)
    assert told == []


def gone() -> Decimal:
    raise NoOfferError("it is gone.")


@pytest.mark.parametrize(
    ("quote", "raised"),
    [
        (prices("11", "12", "13", "14", "15"), UnclearError),
        (gone, NoOfferError),
    ],
)
def test_nothing_stays_reserved_for_what_is_not_bought(
    world: World, quote: Callable[[], Decimal], raised: type[IonetError]
) -> None:
    ledger = SimLedger(world)
    with pytest.raises(raised):
        reserve(Thing(), Decimal(10), quote=quote, ledger=ledger, clock=world.clock())
    assert reserved(world) == []


def test_what_the_ledger_does_not_take_is_not_quoted_again_nor_bought(world: World) -> None:
    class Away(SimLedger):
        def edit(self, owner: Owner, change: Callable[[Page, datetime], Page]) -> Reading:
            raise LedgerError("the ledger could not be used for 60 s (503).")

    class Kept(Thing):
        def take_back(self, ledger: Ledger) -> None:
            pass

    def asked() -> Decimal:
        raise AssertionError("quoted for nothing")

    with pytest.raises(NotRecordedError, match="Nothing was rented"):
        reserve(Kept(), Decimal(10), quote=asked, ledger=Away(world), clock=world.clock())
