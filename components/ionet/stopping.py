"""Has a stack's run stop before its machine is given back or started again, or lets it go on.

What is in the bucket decides nothing about the machine: where the run cannot be asked, or does not
answer, that is said, and what was to happen happens.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from components.ionet import engine_watchdog, machine_state, session
from components.ionet.errors import EngineGoneError
from components.ionet.rental import stop
from components.ionet.rental.stop import Asking
from components.ionet.rental.waiting import Clock
from components.r2 import run_objects
from components.r2.run_objects import RunObjects, RunObjectsError
from container.contract.bought_time import is_hours_over
from container.contract.keys import STOP_KEY, VERDICT_KEY
from container.contract.records import RecordError, Verdict

Props = Mapping[str, Any]

LEFT = (
    "it was told to stop by a command that did not come to its end, and its machine is still "
    "there: `pulumi up` lets it go on from its newest checkpoint"
)
ABANDONED_WITHIN_S = 60.0
"""For the next save of a training that is not gone on with: what it has may be of use to somebody,
and the one that is wanted waits for it on paid time."""


def ask(props: Props, *, within_s: float, then: str) -> None:
    """Return when the run has stopped as far as it can; `then` says what happens all the same.

    With the engine gone the run goes on, and EngineGoneError is raised.
    """
    asking = _asking(props, within_s=within_s)
    try:
        _ask(asking, props, then=then)
    except EngineGoneError:
        asking.take_back()
        raise


@contextmanager
def stopped(props: Props, *, within_s: float) -> Generator[None]:
    """Have the run stop for another container; with an error it goes on, where it still can."""
    asking = _asking(props, within_s=within_s)
    try:
        _ask(asking, props, then="It starts again all the same")
        yield
    except BaseException:
        try:
            asking.take_back()
        except RunObjectsError as error:
            session.say(
                f"{props['run']}: {error}. Its run may have stopped: the next `pulumi up` lets it "
                "go on"
            )
        raise


def is_left_stopped(props: Props) -> bool:
    """Whether a run stands stopped by an order, as far as its bucket says.

    Of a command that did not come to its end, where its machine lives: it bills and does nothing.
    """
    try:
        found = objects(props)
        verdict = found.record(VERDICT_KEY, Verdict)
        return (
            verdict is not None
            and verdict.outcome == "stopped"
            and not is_hours_over(verdict)
            and found.read(STOP_KEY) is not None
        )
    except (RunObjectsError, RecordError):
        return False


def let_go_on(props: Props) -> None:
    """Take back an order that such a command left; raises RunObjectsError."""
    objects(props).delete(STOP_KEY)
    session.say(f"{props['run']}: the order to stop is taken back: it goes on within seconds")


def objects(props: Props) -> RunObjects:
    """Return the run's objects: the operator's key first, as the run's may have expired."""
    place = machine_state.place(props)
    accesses = session.ways(props)
    return run_objects.of_run(place, accesses[::-1])


def _asking(props: Props, *, within_s: float) -> Asking:
    clock = Clock()
    return Asking(
        open=lambda: objects(props),
        within_s=within_s,
        show=stop.now_and_then(lambda words: session.say(f"{props['run']}: {words}"), clock=clock),
        clock=clock,
        still_wanted=engine_watchdog.require_alive,
    )


def _ask(asking: Asking, props: Props, *, then: str) -> None:
    run = props["run"]
    if not stop.within_s(os.environ):
        session.say(f"{run}: is not asked to stop, as {stop.VARIABLE} says")
        return
    if why := asking.ask().why_none:
        session.say(f"{run}: {why}. {then}")
