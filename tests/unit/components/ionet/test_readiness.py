"""The wait for a rented machine: what its page says counts, also that it cannot train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.ionet import readiness
from components.ionet.errors import NotReadyError
from tests.unit.components.vendor_double import Vendor


class Worker:
    events: tuple[str, ...] = ()

    def __init__(self, address: str) -> None:
        self.public_url = address


class Account:
    """io.net, with one machine that runs at an address."""

    account = "the account"

    def __init__(self, address: str) -> None:
        self._address = address

    def deployment(self, _: str) -> Any:
        return type("Row", (), {"life": "alive", "status": "RUNNING"})

    def workers(self, _: str) -> list[Worker]:
        return [Worker(self._address)]


@pytest.fixture
def page() -> Iterator[Vendor]:
    vendor = Vendor()
    yield vendor
    vendor.stop()


def wait(page: Vendor, said: list[str]) -> str:
    account: Any = Account(page.url)
    return readiness.wait(
        account, "d-1", run="main", timeout_s=0.0, still_wanted=lambda: None, say=said.append
    )


@pytest.mark.parametrize(
    "status", [{"run": "main"}, {"run": "main", "no_verdict": ""}, {"run": "main", "outcome": None}]
)
def test_a_page_that_tells_of_the_run_is_its_first_heartbeat(
    page: Vendor, status: dict[str, Any]
) -> None:
    page.will(200, status)
    said: list[str] = []
    assert wait(page, said) == page.url
    assert "first heartbeat" in said[-1]


def test_a_machine_that_says_it_cannot_train_is_not_taken_for_alive(page: Vendor) -> None:
    """A clock an hour off: `pulumi up` said "first heartbeat", and nothing was ever trained."""
    page.will(200, {"run": "main", "no_verdict": "its clock is\n 62 min ahead"})
    with pytest.raises(NotReadyError) as caught:
        wait(page, [])
    assert "does not train: its clock is 62 min ahead. It is still rented" in str(caught.value)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", {"run": "another"}])
def test_a_page_of_somebody_else_is_no_heartbeat(page: Vendor, answer: Any) -> None:
    page.will(200, answer)
    with pytest.raises(NotReadyError, match="gave no heartbeat"):
        wait(page, [])
