"""A deleted identity: nothing of it lives when this returns, or the user is told who finds it."""

from __future__ import annotations

import random
from typing import cast

import pytest

from components.ionet.client import Client
from components.ionet.rental.close import close
from components.ionet.rental.waiting import SETTLED_AFTER_S
from components.ledger.ledger import Ledger, LedgerError
from components.ledger.page import Owner
from tests.provider.sim_services import SimClient, SimLedger
from tests.provider.sim_world import World
from tests.unit.components.ledger.test_page import entry

OWNER = Owner(project="trainstack", stack="dev", run="main")
IDENTITY = "1a2b3c4d"


class Away:
    """A bucket that never answers."""

    def edit(self, *_: object) -> object:
        raise LedgerError("the ledger could not be used for 60 s (503).")

    read = edit


@pytest.fixture
def world() -> World:
    return World(chance=random.Random(1))  # noqa: S311  # nothing is drawn


def closed(world: World, ledger: object) -> list[str]:
    said: list[str] = []
    close(
        cast("Client", SimClient(world)),
        IDENTITY,
        name_prefix=f"trainstack-dev-main-{IDENTITY}-",
        owner=OWNER,
        ledger=cast("Ledger", ledger),
        started=world.seconds,
        say=said.append,
        clock=world.clock(),
    )
    return said


def test_without_rentals_it_returns_at_once_and_leaves_its_mark(world: World) -> None:
    assert closed(world, SimLedger(world)) == []
    assert world.seconds < 5
    assert world.pages[OWNER.key].closing == (IDENTITY,)


def test_an_intent_is_waited_for_by_the_buckets_clock_and_then_noted_as_lost(world: World) -> None:
    SimLedger(world).edit(OWNER, lambda page, now: page.put(entry(asked_at=now)))
    said = closed(world, SimLedger(world))
    assert SETTLED_AFTER_S <= world.seconds < SETTLED_AFTER_S + 15
    assert "looking for it for 2 min 50 s at most" in said[0]
    assert said[-1].endswith("asked for, and never shown by io.net: noted as lost")
    assert [one.state for one in world.pages[OWNER.key].entries] == ["lost"]


def test_where_the_bucket_is_away_it_waits_from_the_commands_start_and_names_reap(
    world: World,
) -> None:
    said = closed(world, Away())
    assert SETTLED_AFTER_S <= world.seconds < SETTLED_AFTER_S + 15
    assert said[-1].endswith("look what bills: python -m runs reap --stack dev")
