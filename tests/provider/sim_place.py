"""Puts a `World` in the place of io.net, bucket and Cloudflare, for what the provider calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from components.ionet import planned, provider, restarting, session
from components.ionet.client import Client
from components.ionet.list_once import ListOnce
from components.ionet.rental import bought_time, close, extend, give_back, rent, restart, stop
from components.r2.cloudflare import S3Access
from components.r2.life_signs import LifeSign
from container.contract.records import Verdict
from tests.provider.sim_services import SimClient, SimCloudflare, SimLedger
from tests.provider.sim_world import World


def put_in_place(
    world: World, *, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    """Let whatever the provider calls be that world's, and what it says be heard."""

    class Bucket:
        def __init__(self, *_: object, **__: object) -> None: ...

        def find_verdict(self, prefix: str) -> Verdict | None:
            return world.verdicts.get(prefix)

        def set_aside_verdict(self, verdict: Verdict, *, prefix: str) -> None:
            world.verdicts.pop(prefix, None)

    for module in (rent, extend, restart, close, give_back):
        monkeypatch.setattr(module, "Clock", world.clock)
    monkeypatch.setenv(stop.VARIABLE, "0")  # no container of that world hears an order
    monkeypatch.setattr(provider, "VerdictReader", Bucket)
    monkeypatch.setattr(restarting, "VerdictReader", Bucket)
    monkeypatch.setattr(bought_time.bought_time_writer, "write", lambda *_, **__: None)
    monkeypatch.setattr(planned.checkpoint_reader, "newest", lambda *_: "step 1 of stage base")
    monkeypatch.setattr(session, "say", lambda text: say(f"  {text}"))
    monkeypatch.setattr(session, "now", lambda: world.now)
    monkeypatch.setattr(session, "client", lambda _cloud: SimClient(world))
    monkeypatch.setattr(session, "listed", lambda _cloud: _listed(world, say))
    monkeypatch.setattr(session, "ledger", lambda *args, **how: _ledger(world, *args, **how))
    monkeypatch.setattr(session, "accesses", lambda *_: [])
    monkeypatch.setattr(session, "verdict", lambda props: world.verdicts.get(props["r2Prefix"]))
    monkeypatch.setattr(session, "life_sign", lambda place, _: _life_sign(world, place.prefix))
    monkeypatch.setattr(session, "cloudflare_client", lambda _id: SimCloudflare(world))


def _life_sign(world: World, prefix: str) -> LifeSign:
    return LifeSign(attempt=world.starts.count(prefix), ended=prefix in world.verdicts)


def _ledger(
    world: World,
    _place: object,
    access: S3Access | None,
    *,
    only_the_run_writes: bool = False,
    **_: object,
) -> SimLedger:
    own = access if only_the_run_writes else None
    return SimLedger(world, token_id=own.access_key_id if own else "")


class _Listed(ListOnce):
    """The same in the world's own thread: there a planted end of the process is felt."""

    def _ask(self) -> None:
        self._fetch()


def _listed(world: World, say: Callable[[str], None]) -> ListOnce:
    return session._lists.setdefault("local", _Listed(cast("Client", SimClient(world)), say=say))
