"""What `reap` does about an ID, as a table; one that is refused keeps all from being done."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from runs.errors import RunsError, SettingMissingError
from runs.inventory import Inventory
from runs.machines import Machine
from runs.reaping import choose, of_ended_runs
from runs.tokens import RunToken
from tests.runs_builders import verdict
from tests.unit.runs.rental_builders import NAME, NOW, rental


def machine(one: str, **members: Any) -> Machine:
    defaults: dict[str, Any] = {
        "name": NAME,
        "status": "running",
        "paid_usd": Decimal(1),
        "hours_left": (1.0, 1.0),
        "in_state": False,
    }
    return Machine(deployment_id=one, **{**defaults, **members})


def token(one: str, why: str = "") -> RunToken:
    name = "trainstack-dev-main-0a1b2c3d"
    return RunToken(
        id=one, name=name, identity="0a1b2c3d", issued_on=None, age=None, kept_because=why
    )


SEEN = rental("seen-under-another-id", shown="alive")
INVENTORY = Inventory(
    now=NOW,
    known=frozenset(),
    machines=[
        machine("lives", rental=rental("lives")),
        machine("known", name="known", in_state=True),
        machine("unsure", name="unsure", in_state=None),
    ],
    rentals=[
        rental("lives", shown="alive"),
        SEEN,
        rental("ended-and-open", shown="ended"),
        rental("closed", state="given back", shown="ended"),
        rental("forgotten", state="given back"),
        rental("unseen"),
        rental("unseen-and-known", in_state=True),
        rental(intent="asked"),
        rental(intent="asked-just-now", asked_at=NOW - timedelta(seconds=10)),
        rental(intent="lost", state="lost"),
    ],
    tokens=[token("left"), token("young", "younger than a day")],
    ended={"closed", "ended-and-open", "ended-unrecorded"},
)


def chosen(*wanted: str, force: bool = False, forget: bool = False) -> dict[str, list[str]]:
    """Return what is done, the IDs by what is done about them, without what is empty."""
    choice = choose(wanted, INVENTORY, force=force, forget=forget)
    every = {
        "give back": [one.deployment_id for one in choice.give_back],
        "note": [one.id for one in choice.note],
        "forget": [one.id for one in choice.forget],
        "revoke": [one.id for one in choice.revoke],
        "said": list(choice.so_already),
    }
    return {what: done for what, done in every.items() if done}


@pytest.mark.parametrize(
    ("wanted", "options", "done"),
    [
        ("lives", {}, {"give back": ["lives"]}),
        ("lives", {"forget": True}, {"give back": ["lives"]}),
        ("unsure", {}, {"give back": ["unsure"]}),
        ("known", {"force": True}, {"give back": ["known"]}),
        ("seen-under-another-id", {}, {"give back": ["lives"]}),
        ("ended-and-open", {}, {"note": ["ended-and-open"]}),
        ("unseen", {"forget": True}, {"forget": ["unseen"]}),
        ("unseen-and-known", {"forget": True, "force": True}, {"forget": ["unseen-and-known"]}),
        ("asked", {"forget": True}, {"forget": ["asked"]}),
        ("left", {}, {"revoke": ["left"]}),
        (
            "closed",
            {},
            {"said": ["closed has ended, and is closed in the ledger as given back already."]},
        ),
        (
            "forgotten",
            {"forget": True},
            {"said": ["forgotten is closed in the ledger as given back already."]},
        ),
        ("lost", {}, {"said": ["lost is closed in the ledger as lost already."]}),
        ("ended-unrecorded", {}, {"said": ["ended-unrecorded has ended."]}),
        (
            "f" * 32,
            {},
            {"said": [f"{'f' * 32}: no run's token has this ID, or none any more."]},
        ),
    ],
)
def test_what_is_done(wanted: str, options: dict[str, bool], done: dict[str, list[str]]) -> None:
    assert chosen(wanted, **options) == done


@pytest.mark.parametrize(
    ("wanted", "options", "why"),
    [
        ("known", {"forget": True}, "`pulumi destroy` gives it back"),
        ("unseen", {}, "may live and bill in another"),
        ("unseen", {"force": True}, "--forget"),
        ("unseen-and-known", {"forget": True}, "state knows"),
        ("asked", {}, "--forget"),
        ("asked-just-now", {"forget": True, "force": True}, "a machine may come of it"),
        ("young", {"forget": True, "force": True}, "stays: younger than a day"),
    ],
)
def test_what_is_refused(wanted: str, options: dict[str, bool], why: str) -> None:
    with pytest.raises(RunsError) as refused:
        chosen("lives", wanted, "left", **options)
    assert why in str(refused.value)
    assert "Nothing was changed" in str(refused.value)


def test_an_intent_is_looked_at_again_once_no_machine_can_come_of_it() -> None:
    with pytest.raises(RunsError, match=r"for 2 min 40 s more\. Look again then"):
        choose(["asked-just-now"], INVENTORY, force=False, forget=True)
    later = dataclasses.replace(INVENTORY, now=NOW + timedelta(minutes=3))
    (forgotten,) = choose(["asked-just-now"], later, force=False, forget=True).forget
    assert forgotten.id == "asked-just-now"


def test_an_id_that_nothing_names_is_refused_and_so_is_a_token_when_none_was_listed() -> None:
    with pytest.raises(SettingMissingError, match="with the id nobody"):
        chosen("lives", "nobody")
    away = Inventory(now=NOW, known=None, tokens=None, rentals=None)
    with pytest.raises(SettingMissingError, match="else that was asked"):
        choose(["f" * 32], away, force=False, forget=False)


def test_a_machine_that_is_named_twice_over_is_given_back_once() -> None:
    assert chosen("lives", "seen-under-another-id") == {"give back": ["lives"]}


@pytest.mark.parametrize(
    ("outcome", "kept_alive", "failed", "left"),
    [
        ("succeeded", False, False, None),
        ("succeeded", True, False, "kept alive to serve"),
        ("succeeded", True, True, "kept alive to serve"),
        ("succeeded", None, False, "whether it is kept alive is not told"),
        ("failed", False, False, "say --failed"),
        ("failed", False, True, None),
        ("failed", None, True, None),
        ("stopped", False, True, "may go on there"),
        ("", False, True, ""),  # it trains
    ],
)
def test_a_machine_goes_with_its_run_unless_somebody_may_still_want_it(
    outcome: str, kept_alive: bool | None, failed: bool, left: str | None
) -> None:
    one = machine("one", prefix="p", kept_alive=kept_alive)
    ended = verdict(outcome=outcome) if outcome else None
    done = of_ended_runs([one], {"p": ended}, failed=failed)
    assert done.give_back == ([one] if left is None else [])
    assert [bool(left) and left in words for words in done.left] == ([True] if left else [])


@pytest.mark.parametrize("prefix", ["", "unread"])
def test_a_machine_whose_run_is_not_known_is_left_and_named(prefix: str) -> None:
    done = of_ended_runs([machine("one", prefix=prefix)], {"p": verdict()}, failed=True)
    assert done.give_back == []
    assert done.left == ["one: which run it trains is not known"]
