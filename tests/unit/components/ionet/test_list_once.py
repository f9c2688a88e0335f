"""One list call a provider process, however many runs and threads ask."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from components.ionet.client import Client
from components.ionet.errors import KeyRefusedError, UnclearError
from components.ionet.list_once import ListOnce
from components.ionet.models import DeploymentRow

ROW = DeploymentRow(id="d", name="n", status="running")


class Account:
    """Answers the list as it was told to, and counts."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.calls = answer, 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def deployments(self) -> list[DeploymentRow]:
        self.calls += 1
        self.may_answer.wait(30)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def listed(account: Account, said: list[str], within_s: float = 20.0) -> ListOnce:
    return ListOnce(cast("Client", account), say=said.append, within_s=within_s)


def test_sixty_four_looks_at_once_are_one_call() -> None:
    account, said = Account([ROW]), list[str]()
    once = listed(account, said)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: once.rows(), range(64)))
    assert found == [[ROW]] * 64
    assert (account.calls, said) == (1, [])


def test_a_vendor_that_does_not_answer_is_said_once_and_waited_for_once() -> None:
    account, said = Account([ROW]), list[str]()
    account.may_answer.clear()
    once = listed(account, said, within_s=0.05)
    assert [once.rows(), once.rows()] == [None, None]
    account.may_answer.set()
    assert len(said) == 1
    assert "whether the machines live was not checked" in said[0]


def test_an_unclear_answer_is_said_with_its_reason() -> None:
    said: list[str] = []
    assert listed(Account(UnclearError("no usable answer (502).")), said).rows() is None
    assert "no usable answer (502)" in said[0]


def test_a_refused_key_is_an_error_at_each_look() -> None:
    once = listed(Account(KeyRefusedError("no")), [])
    for _ in range(2):
        with pytest.raises(KeyRefusedError):
            once.rows()
