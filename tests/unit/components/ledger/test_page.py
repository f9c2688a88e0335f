"""A run's page of the ledger: what is open, what was spent, and that it survives the bucket."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from components.ionet.rental.waiting import SETTLED_AFTER_S, unsettled_s
from components.ledger.page import Entry, Owner, Page, PageError, State

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
OWNER = Owner(project="trainstack", stack="dev", run="main")


def entry(intent: str = "i1", **changes: object) -> Entry:
    plain = Entry(
        intent=intent,
        identity="1a2b3c4d",
        name="trainstack-dev-main-1a2b3c4d-cafe0001",
        hours=5,
        usd=Decimal("92.40"),
        asked_at=NOW,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def page(*entries: Entry) -> Page:
    return Page(owner=OWNER, entries=entries)


def test_a_page_is_read_back_as_it_was_written() -> None:
    written = page(
        entry(),
        entry("i2", state="rented", deployment_id="d", extending_at=NOW, extending_to=7),
    ).with_closing("99999999")
    assert Page.from_json(written.to_json()) == written


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"schema": 1}', b'{"schema": 99}', b'{"schema": "x"}', b"\xff"],
    ids=repr,
)
def test_what_is_no_page_is_never_taken_for_an_empty_one(raw: bytes) -> None:
    with pytest.raises(PageError):
        Page.from_json(raw)


def test_an_entry_of_an_unknown_state_is_never_left_out() -> None:
    raw = page(entry()).to_json().replace(b'"asked"', b'"of a later release"')
    with pytest.raises(PageError):
        Page.from_json(raw)


def test_names_that_begin_alike_have_pages_of_their_own() -> None:
    """`prod` + `eu-main` is not `prod-eu` + `main`."""
    one = Owner(project="trainstack", stack="prod", run="eu-main")
    other = Owner(project="trainstack", stack="prod-eu", run="main")
    assert one.stem == other.stem
    assert one.key != other.key


def test_an_intent_that_is_put_again_is_the_same_entry() -> None:
    renewed = entry(asked_at=NOW + timedelta(seconds=20))
    assert page(entry()).put(renewed).entries == (renewed,)


@pytest.mark.parametrize(
    ("state", "age_s", "left_s"),
    [
        ("asked", 0, SETTLED_AFTER_S),
        ("asked", SETTLED_AFTER_S - 1, 1),
        ("asked", SETTLED_AFTER_S + 1, 0),
        ("rented", 0, 0),
        ("lost", 0, 0),
    ],
)
def test_only_an_intent_without_an_id_is_waited_for_and_not_for_ever(
    state: State, age_s: float, left_s: float
) -> None:
    now = NOW + timedelta(seconds=age_s)
    assert unsettled_s(entry(state=state), now) == pytest.approx(left_s)


def test_the_wait_is_about_three_minutes() -> None:
    """A user sits before it: longer than any request can take, and no more than needed."""
    assert 120 <= SETTLED_AFTER_S <= 240
