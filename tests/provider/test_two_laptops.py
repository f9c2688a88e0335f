"""Two laptops share what is left of a run's budget: through whole rentals and extensions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from components.ledger.page import Page
from tests.contract.caas_place import CaasPlace
from tests.provider.builders import deployment
from tests.provider.conftest import NewProcess
from tests.provider.fake_r2 import FakeR2
from tests.provider.process import CallFailedError, Props
from tests.provider.test_no_machine_is_lost import KEY
from tests.provider.test_process import names

HOUR = Decimal("0.409")  # of the stand-in's CPU, fees included


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return what each of some calls returned or raised, all made at the same moment."""
    began = threading.Barrier(len(calls))
    came: list[Any] = [None] * len(calls)

    def work(n: int, call: Callable[[], Any]) -> None:
        began.wait()
        try:
            came[n] = call()
        except CallFailedError as error:
            came[n] = error

    threads = [threading.Thread(target=work, args=(n, one)) for n, one in enumerate(calls)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return came


def paid(caas: CaasPlace) -> Decimal:
    rows = caas.call("GET", "deployments").json()["data"]["deployments"]
    charged = (Decimal(str(caas.details(row["id"])["amount_paid"])) for row in rows)
    return sum(charged, Decimal(0))


@pytest.mark.parametrize("identities", [("1a2b3c4d", "99999999"), ("1a2b3c4d", "1a2b3c4d")])
def test_of_two_that_rent_at_once_one_rents_and_the_budget_holds(
    new_process: NewProcess, caas: CaasPlace, r2: FakeR2, identities: tuple[str, str]
) -> None:
    """The one of another identity stands for a state that was lost, or another backend's."""
    laptops: list[Callable[[], Any]] = []
    for identity in identities:
        stem = f"trainstack-dev-main-{identity}-"
        process = new_process()
        wanted, failures = process.check(
            deployment(
                r2.url,
                identity=identity,
                namePrefix=stem,
                privateName=f"{stem}cafe0001",
                maxCostUsd=0.5,
            )
        )
        assert not failures
        laptops.append(lambda process=process, wanted=wanted: process.create(wanted))
    came = at_once(*laptops)
    assert len(names(caas)) <= 1
    assert paid(caas) <= Decimal("0.5")
    refused = [one for one in came if isinstance(one, CallFailedError)]
    assert all("othing was rented" in str(one) or "reap" in str(one) for one in refused)
    assert len(refused) >= len(set(identities)) - 1
    reserved = Page.from_json(r2.objects[KEY])
    assert sum(one.reserved_usd for one in reserved.entries) == 0


@pytest.mark.parametrize(
    ("wanted", "cap", "most"),
    [
        ((2.0, 2.0), "9", 2),  # the same hours: bought once
        ((2.0, 3.0), "1.2", 2),  # the budget has one more hour
        ((3.0, 2.0), "9", 3),
        ((4.0, 4.0), "1.5", 1),  # none of them fits
    ],
)
def test_of_two_that_extend_at_once_no_more_is_bought_than_asked_for_and_than_fits(
    new_process: NewProcess,
    caas: CaasPlace,
    r2: FakeR2,
    wanted: tuple[float, float],
    cap: str,
    most: int,
) -> None:
    process = new_process()
    inputs, failures = process.check(deployment(r2.url, maxCostUsd=float(cap)))
    assert not failures
    machine, state = process.create(inputs)
    caas.until(machine, "running")

    def extend(hours: float) -> Callable[[], Props]:
        laptop, news = new_process(), {**inputs, "durationHours": hours}
        return lambda: laptop.update(machine, state, news)

    came = at_once(*(extend(hours) for hours in wanted))
    told = caas.details(machine)
    bought = round((told["compute_minutes_served"] + told["compute_minutes_remaining"]) / 60)
    assert bought <= most
    assert paid(caas) == HOUR * bought <= Decimal(cap)
    (entry,) = Page.from_json(r2.objects[KEY]).entries
    assert (entry.reserved_usd, entry.spent_usd) == (0, HOUR * bought)
    refused = [str(one) for one in came if isinstance(one, CallFailedError)]
    assert all("othing was bought" in one or "othing\nwas bought" in one for one in refused)
