"""A restart whose proof takes long, or does not come: on a clock that only waiting moves."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

import pytest

from components.ionet import session
from components.ionet.client import Client
from components.ionet.errors import (
    KeyRefusedError,
    NotFoundError,
    RequestRefusedError,
    UnclearError,
)
from components.ionet.rental.restart import BEAT_WITHIN_S
from components.ionet.rental.waiting import SETTLED_AFTER_S
from components.ledger.ledger import LedgerError
from tests.provider.sim_engine import Config, RefusedError, SimEngine
from tests.provider.sim_place import put_in_place
from tests.provider.sim_services import SimClient, SimLedger
from tests.provider.sim_world import Machine, World


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> SimEngine:
    """A stack with its one machine."""
    world = World(chance=random.Random(1))  # noqa: S311
    put_in_place(world, monkeypatch=monkeypatch, say=told.append)
    session._known.clear()
    session._lists.clear()
    made = SimEngine(world)
    made.up(Config())
    told.clear()
    return made


Drop = Callable[[SimClient, Machine, Any], None]


def _ignores(_client: SimClient, _machine: Machine, _request: Any) -> None:
    return


def _drops_variables(_client: SimClient, machine: Machine, request: Any) -> None:
    machine.env, machine.secret_env = {}, dict(request.secret_env)


def _replaces_secrets_only(_client: SimClient, machine: Machine, request: Any) -> None:
    machine.secret_env = dict(request.secret_env)


@pytest.mark.parametrize(
    ("drop", "why"),
    [
        (_ignores, "it shows the container of before"),
        (_replaces_secrets_only, "it shows the container of before"),
        (_drops_variables, "it dropped variables of the new container"),
    ],
)
def test_a_yes_that_dropped_members_is_found_out_recorded_and_offers_another_machine(
    engine: SimEngine, told: list[str], monkeypatch: pytest.MonkeyPatch, drop: Drop, why: str
) -> None:
    def update(client: SimClient, deployment_id: str, request: Any) -> None:
        drop(client, client._find(deployment_id), request)

    monkeypatch.setattr(SimClient, "update", update)
    world, began = engine.world, engine.world.seconds
    with pytest.raises(RefusedError, match=f"it answered yes, and {why}"):
        engine.up(Config(iterations=11))
    assert world.seconds - began < 2 * SETTLED_AFTER_S
    assert len(world.charges) == 1
    (page,) = world.pages.values()
    assert why in page.entries[0].restart_refused
    engine.up(Config(iterations=11))
    assert "another one is rented, at the price below" in "".join(told)
    assert [one.env["RECIPE_SETTINGS"] for one in world.live()] == ['{"num_iterations": 11}']


def test_a_container_that_gives_no_sign_of_life_is_waited_for_again(
    engine: SimEngine, told: list[str]
) -> None:
    world = engine.world
    real, world.starts = world.starts, _Deaf()
    began = world.seconds
    with pytest.raises(RefusedError, match="gave no sign of life in 30 min 00 s") as refused:
        engine.up(Config(iterations=11))
    assert "`pulumi up` waits again" in str(refused.value)
    assert BEAT_WITHIN_S < world.seconds - began < BEAT_WITHIN_S + 60
    assert sum("starts again on the same machine: running" in line for line in told) > 60
    world.starts = [*real, world.live()[0].env["RUN_PREFIX"]]
    engine.up(Config(iterations=11))
    assert "was told to start this container before" in "".join(told)
    assert len(world.charges) == 1
    engine.destroy()
    assert world.live() == []


class _Deaf(list[str]):
    """Containers that start, and leave nothing in the bucket."""

    def append(self, _prefix: str) -> None:
        return


def test_a_vendor_that_is_silent_after_the_change_is_asked_by_the_next_update(
    engine: SimEngine, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = engine.world
    client = cast("Client", SimClient(world))
    update = SimClient.update

    def then_silence(client: SimClient, deployment_id: str, request: Any) -> None:
        update(client, deployment_id, request)
        world.storm_until = world.seconds + 4 * SETTLED_AFTER_S

    monkeypatch.setattr(SimClient, "update", then_silence)
    with pytest.raises(RefusedError, match="it looks before it sends anything"):
        engine.up(Config(iterations=11))
    world.wait(4 * SETTLED_AFTER_S)
    session._lists.clear()
    engine.up(Config(iterations=11))
    assert "was told to start this container before" in "".join(told)
    assert client.deployment("dep-1").env is not None


@pytest.mark.parametrize("lands_after_s", [None, 2 * SETTLED_AFTER_S])
def test_a_change_that_never_arrived_or_arrives_late_is_no_refusal_and_buys_no_other_machine(
    engine: SimEngine, monkeypatch: pytest.MonkeyPatch, lands_after_s: float | None
) -> None:
    world = engine.world
    update = SimClient.update
    on_its_way: list[Callable[[], None]] = []

    def without_answer(client: SimClient, deployment_id: str, request: Any) -> None:
        on_its_way.append(lambda: update(client, deployment_id, request))
        raise UnclearError("no answer")

    with monkeypatch.context() as patched:
        patched.setattr(SimClient, "update", without_answer)
        with pytest.raises(RefusedError, match="it looks before it sends anything"):
            engine.up(Config(iterations=11))
    (page,) = world.pages.values()
    assert page.entries[0].restart_refused == ""
    if lands_after_s is not None:
        world.wait(lands_after_s)
        on_its_way[0]()
    starts = len(world.starts)
    engine.up(Config(iterations=11))
    assert len(world.starts) == starts + (lands_after_s is None)
    assert [one.env["RECIPE_SETTINGS"] for one in world.live()] == ['{"num_iterations": 11}']
    assert len(world.charges) == 1


def test_what_cannot_be_recorded_is_not_sent(
    engine: SimEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unusable(*_: object, **__: object) -> None:
        raise LedgerError("the ledger could not be used.")

    with monkeypatch.context() as patched, pytest.raises(RefusedError, match="was told nothing"):
        patched.setattr(SimLedger, "edit", unusable)
        engine.up(Config(iterations=11))
    assert len(engine.world.starts) == 1
    engine.up(Config(iterations=11))
    assert len(engine.world.starts) == 2


@pytest.mark.parametrize(
    "error",
    [
        RequestRefusedError("no such members", status=422),
        RequestRefusedError("Method Not Allowed", status=405),
        NotFoundError("image \x1b[1mnot found\u202e", status=400),
        KeyRefusedError("this key may not change deployments"),
    ],
    ids=lambda error: str(error).encode("ascii", "replace").decode()[:12],
)
def test_whatever_the_no_is_called_it_is_of_the_change_while_the_machine_can_be_read(
    engine: SimEngine, told: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def update(*_: object) -> None:
        raise error

    monkeypatch.setattr(SimClient, "update", update)
    with pytest.raises(RefusedError, match="starts no other container"):
        engine.up(Config(iterations=11))
    (page,) = engine.world.pages.values()
    assert page.entries[0].restart_refused.isprintable()
    engine.up(Config(iterations=10))  # put back: nothing changed
    assert len(engine.world.charges) == 1
    engine.up(Config(iterations=11))
    assert "another one is rented, at the price below" in "".join(told)
    assert len(engine.world.charges) == 2


def test_a_bad_key_is_no_refusal_of_the_change(
    engine: SimEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: object) -> None:
        raise KeyRefusedError("io.net refused the API key")

    with monkeypatch.context() as patched, pytest.raises(RefusedError, match="refused the API key"):

        def update(*_: object) -> None:
            patched.setattr(SimClient, "deployment", no)
            no()

        patched.setattr(SimClient, "update", update)
        engine.up(Config(iterations=11))
    (page,) = engine.world.pages.values()
    assert page.entries[0].restart_refused == ""
    engine.up(Config(iterations=11))
    assert len(engine.world.charges) == 1
