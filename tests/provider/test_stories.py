"""Thousands of fault stories over the provider alone: nothing lost, doubled or above the budget.

The engine, vendor, bucket and Cloudflare are doubles on one clock. A story is played again by its
seed: `STORY=17 pytest tests/provider/test_stories.py`; `STORIES=100000` plays more of them.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from decimal import Decimal
from typing import cast

import pytest

from components.ionet import session
from components.ionet.client import Client
from components.ionet.rental import give_back
from components.ionet.rental.waiting import SETTLED_AFTER_S
from components.ledger import budget
from components.ledger.page import Page
from tests.provider.sim_engine import Config, RefusedError, SimEngine
from tests.provider.sim_place import put_in_place
from tests.provider.sim_services import SimClient
from tests.provider.sim_world import (
    FORMS,
    Fault,
    KilledError,
    World,
)

STORIES = int(os.environ.get("STORIES", "3000"))
AT_A_TIME = 500
Command = Callable[[], None]


class Story:
    """One stack's fortunes: commands, faults among their calls, and what must hold after them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311  # which story is played
        self.world = World(chance=self.chance)
        self.config = Config(cap=self.chance.choice((1, 2, 3, 9)))
        self.engine, self.other = SimEngine(self.world), SimEngine(self.world)
        self.other_is_busy = False
        self.told: list[str] = []
        # Some vendors start no other container on a machine: then another one is rented.
        self.world.refuses_updates = self.chance.random() < 0.2
        self.rentals = 1  # that the user asked for, or that somebody else made necessary
        self.tokens_may_be_left = False
        self.kept = self.engine.snapshot()

    def play(self) -> None:
        for _ in range(self.chance.randint(1, 4)):
            self._plant()
            self._act()
            self._at_most_one()
        self._within_the_budget()
        self.world.faults.clear()
        self.world.storm_until, self.world.account, self.world.lag_s = 0.0, "ours", 0.0
        self._mended()
        self._one_machine_that_can_write()
        self._destroyed()
        self._ledger_agrees_with_the_vendor()

    def run(self, what: str, command: Command, *, starts: bool = True) -> str:
        """Run one command as a process of its own; return its refusal, "" if there is none."""
        self.told.append(f"{what} at {self.world.seconds:.0f} s, call {self.world.calls}")
        if starts:
            session._known.clear()
            session._lists.clear()
            session.STARTED = self.world.seconds
        try:
            command()
        except RefusedError as error:
            self.told.append(f"  refused: {error}")
            return str(error)
        except KilledError:
            self.told.append("  killed")
            return "killed"
        return ""

    def _plant(self) -> None:
        for _ in range(self.chance.choice((0, 1, 1, 2))):
            at = self.world.calls + self.chance.randint(1, 30)
            fault = Fault(at, self.chance.choice(FORMS), self.chance.choice((5.0, 25.0, 65.0)))
            if fault.form == "meanwhile":
                fault.meanwhile = self.chance.choice(
                    (self._another_up, self._another_destroy, self._ended, self._dearer)
                )
                self.told.append(f"meanwhile {fault.meanwhile.__name__}")
            self.world.faults[at] = fault
            self.told.append(f"fault {fault}")
        self.world.lag_s = self.chance.choice((0.0, 0.0, 3.0, 29.0))
        self.world.next_factor = Decimal(self.chance.choice(("1", "1", "1", "0.2", "5")))

    def _another_up(self) -> None:
        """Somebody else's update of the same stack, on another backend."""
        self._by_another(lambda: self.other.up(self.config))

    def _another_destroy(self) -> None:
        self._by_another(self.other.destroy)

    def _by_another(self, command: Command) -> None:
        if self.world.account != "ours" or self.other_is_busy:
            return  # the wrong key is this shell's; a second engine finds the state locked
        self.other_is_busy = True
        lists, known = dict(session._lists), dict(session._known)
        session._lists.clear()
        session._known.clear()
        self.run("  another backend", command, starts=False)
        session._lists.clear()
        session._lists.update(lists)
        session._known.clear()
        session._known.update(known)
        self.other_is_busy = False
        self.rentals += 2
        self.tokens_may_be_left = True

    def _ended(self) -> None:
        for one in self.world.live():
            one.ended_at = self.world.now
        self.rentals += 1

    def _dearer(self) -> None:
        self.world.next_factor *= 5

    def _act(self) -> None:
        kind = self.chance.choice(
            ("up",) * 5
            + ("hours", "recipe", "rerun", "renew", "destroy", "refresh", "ended", "time")
            + ("other key", "state lost", "rolled back", "another backend")
        )
        up: Command = lambda: self.engine.up(self.config)  # noqa: E731
        renting = ("recipe", "rerun", "renew", "destroy", "ended", "time", "state lost")
        self.rentals += kind in (*renting, "rolled back")
        self.tokens_may_be_left |= kind in ("state lost", "rolled back")  # `reap` lists them
        if kind == "hours":
            self.config.hours += 1
        elif kind == "recipe":
            self.config.iterations += 1
        elif kind in ("rerun", "renew"):
            setattr(self.config, kind, getattr(self.config, kind) + 1)
        elif kind == "destroy":
            self.run("destroy", self.engine.destroy)
            return
        elif kind == "refresh":
            self.run("refresh", self.engine.refresh)
            return
        elif kind == "ended":
            self._ended()
        elif kind == "another backend":
            self._another_up()
        elif kind == "time":
            self.world.wait(self.chance.choice((60.0, 600.0, 4000.0)))
        elif kind == "state lost":
            self.engine.state = SimEngine(self.world).state
        elif kind == "rolled back":
            self.engine.state = self.kept
        elif kind == "other key":
            self.world.account = "another"
            command = self.chance.choice((self.engine.destroy, self.engine.refresh))
            self.run(f"{command.__name__} with another account's key", command)
            self.world.account = "ours"
            return
        if self.chance.random() < 0.3:
            self.kept = self.engine.snapshot()
        self.run(f"up after {kind}, {self.config}", up)

    def _mended(self) -> None:
        """One plain update, or the one command that its refusal prints and another, must do."""
        self.world.next_factor, self.config.cap = Decimal(1), 99
        for _ in range(4):
            refused = self.run("up", lambda: self.engine.up(self.config))
            if not refused:
                return
            self._carried_out(refused)
        raise AssertionError("an update, and what its refusals say, does not mend it")

    def _carried_out(self, refused: str) -> None:
        if found := re.search(r"python -m runs reap (\S+) --stack dev --yes", refused):
            client = cast("Client", SimClient(self.world))
            give_back.give_back(client, found[1], clock=self.world.clock())
        elif "pulumi destroy" in refused:
            assert not self.run("destroy", self.engine.destroy)
        elif "`pulumi up` rents it" in refused:
            self.rentals += 1
        elif found := re.search(r"pulumi config set trainstack:renew (\d+)", refused):
            self.config.renew = int(found[1])
        elif "ledger could not be used" in refused or "raise trainstack:renew" in refused:
            self.config.renew += 1
        elif "Set trainstack:durationHours back to" in refused:
            found = re.search(r"durationHours back to (\d+)", refused)
            assert found
            self.config.hours = int(found[1])
        elif "When the other one is done: pulumi up" not in refused:
            raise AssertionError(f"the refusal names no command that mends it: {refused}")

    def _at_most_one(self) -> None:
        live = self.world.live()
        assert len(live) <= 1, f"two machines: {live}"

    def _one_machine_that_can_write(self) -> None:
        deployment, token = self.engine.state.deployment, self.engine.state.token
        assert deployment
        assert token
        live = self.world.live()
        ours = next(one for one in self.world.machines if one.id == deployment[0])
        if not ours.lives(self.world.now) and not ours.ended_at:
            return  # what lives is the other backend's: the hours of ours are over
        assert [one.id for one in live] == [deployment[0]]
        held = live[0].secret_env["R2_ACCESS_KEY_ID"]
        assert {held, token[0]} <= self.world.tokens.keys(), "it cannot write"
        wanted = f'{{"num_iterations": {self.config.iterations}}}'
        assert live[0].env["RECIPE_SETTINGS"] == wanted, "it trains something else than is wanted"

    def _within_the_budget(self) -> None:
        """Of the run, whatever its identity: no reruns, lost states or other laptops beside it."""
        charged = sum((usd for _, usd in self.world.charges), Decimal(0))
        assert charged <= self.config.cap, f"the budget is exceeded: {self.world.charges}"
        assert len(self.world.machines) <= self.rentals, "more was rented than was asked for"

    def _ledger_agrees_with_the_vendor(self) -> None:
        charged = sum((usd for _, usd in self.world.charges), Decimal(0))
        found = budget.of_page(self._page(), cap_usd=Decimal(self.config.cap))
        assert (found.spent_usd, found.reserved_usd) == (charged, 0), self._page().entries

    def _page(self) -> Page:
        (page,) = self.world.pages.values()
        return page

    def _destroyed(self) -> None:
        assert not self.run("destroy", self.engine.destroy)
        assert not self.run("destroy of the other backend", self.other.destroy)
        self.world.wait(SETTLED_AFTER_S)
        assert self.world.live() == []
        left = self.world.tokens.keys() - self.world.late_tokens
        assert self.tokens_may_be_left or not left, "a token outlives its run"


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Put a story's world in the place of the real one."""
    return lambda story: put_in_place(story.world, monkeypatch=monkeypatch, say=story.told.append)


@pytest.mark.parametrize("first", range(0, STORIES, AT_A_TIME))
def test_whatever_happens_no_machine_is_lost_doubled_or_left(
    patched: Callable[[Story], None], first: int
) -> None:
    only = os.environ.get("STORY")
    for seed in [int(only)] if only else range(first, first + AT_A_TIME):
        story = Story(seed)
        patched(story)
        try:
            story.play()
        except Exception as error:
            text = "\n".join(story.told)
            raise AssertionError(f"STORY={seed}: {error}\n{text}") from error
