"""Processes that die: each role of a command, at each of its calls; Ctrl-C, once and twice."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from tests.campaign_engine.commands import Strike
from tests.campaign_engine.faults import ANY, Do, Fault, Interrupt, Kill, Role, When
from tests.campaign_engine.story import RENEW, RERUN, Act, Story
from tests.campaign_engine.struck import (
    AGAIN,
    DESTROY,
    FIRST,
    HOURS,
    RECIPE,
    REFRESH,
    TARGETS,
    UP,
    Target,
    anywhere,
)

ROLES: Final[tuple[Role, ...]] = (
    *("engine", "engine", "provider", "provider"),
    *("host", "program", "plugin", "all", "all"),
)
MOMENTS: Final[tuple[When, ...]] = ("unsent", "sent", "answered")
RENEWAL: Final = Target(command="up", config=RENEW, calls=44)


def kill_in_up(chance: random.Random) -> Story:
    """kill -9 of engine, provider, host, program or all at any call of the first `up`."""
    return Story(acts=(_struck(chance, FIRST), *_then(chance)), bucket_exists=chance.random() < 0.5)


def kill_in_refresh(chance: random.Random) -> Story:
    """The same in `refresh`."""
    return Story(acts=(UP, _struck(chance, REFRESH), *_then(chance)))


def kill_in_destroy(chance: random.Random) -> Story:
    """The same in `destroy`."""
    return Story(acts=(UP, _struck(chance, DESTROY), *_then(chance)))


def kill_in_replace(chance: random.Random) -> Story:
    """The same while a machine is replaced, by another recipe or a rerun."""
    target = chance.choice([RECIPE, AGAIN])
    return Story(acts=(UP, _struck(chance, target), *_then(chance)))


def kill_in_extend(chance: random.Random) -> Story:
    """The same while hours are bought."""
    return Story(acts=(UP, _struck(chance, HOURS), *_then(chance)))


def kill_in_renewal(chance: random.Random) -> Story:
    """The same while a run gets new credentials."""
    return Story(acts=(UP, _struck(chance, RENEWAL), *_then(chance)))


def kill_in_image_build(chance: random.Random) -> Story:
    """kill -9 while the image is built or pushed, before the first machine or between two."""
    moment = chance.choice([r"\[rehearsal +\d+/", "exporting", r"\bbuilt ", r"\bpushed "])
    kill = Strike(action=Kill(chance.choice(["engine", "plugin", "all"])), says=moment)
    changed = Act(command="change image")
    if chance.random() < 0.5:
        return Story(acts=(changed, Act(command="up", strikes=(kill,))))
    return Story(acts=(UP, changed, Act(command="up", config=RERUN, strikes=(kill,))))


def interrupt_at_a_call(chance: random.Random) -> Story:
    """Ctrl-C, once or twice, at any call of `up`, `refresh`, `destroy` or a replacement."""
    do = Do(Interrupt(chance.choice([1, 2])), chance.choice(MOMENTS[1:]))
    return Story(acts=anywhere(chance, lambda nth: Fault(ANY, do, nth=nth)))


def interrupt_at_a_second(chance: random.Random) -> Story:
    """Ctrl-C, once or twice, some seconds into a command."""
    target = chance.choice(TARGETS)
    strike = Strike(action=Interrupt(chance.choice([1, 2])), after_s=chance.uniform(1.0, 10.0))
    return Story(acts=target.after_first_up(replace(target.act(), strikes=(strike,))))


def killed_again(chance: random.Random) -> Story:
    """Two kills in a row: the command that would mend the first is killed too."""
    first = _struck(chance, FIRST)
    return Story(acts=(first, _struck(chance, chance.choice([FIRST, DESTROY]))))


def _struck(chance: random.Random, target: Target) -> Act:
    do = Do(Kill(chance.choice(ROLES)), chance.choice(MOMENTS))
    return target.act(Fault(ANY, do, nth=chance.randint(1, target.calls)))


def _then(chance: random.Random) -> tuple[Act, ...]:
    """Return what a user tries after that, before the mending `up`."""
    return chance.choice([(), (), (Act(command="refresh"),), (Act(command="destroy"),)])


KINDS: Final = (
    kill_in_up,
    kill_in_refresh,
    kill_in_destroy,
    kill_in_replace,
    kill_in_extend,
    kill_in_renewal,
    kill_in_image_build,
    interrupt_at_a_call,
    interrupt_at_a_second,
    killed_again,
)
