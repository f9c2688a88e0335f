"""Processes that die: each role of a command, at each of its calls; Ctrl-C, once and twice."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from tests.campaign_engine.commands import Strike
from tests.campaign_engine.faults import ANY, Do, Fault, Interrupt, Kill, Role, When
from tests.campaign_engine.story import LONGER, OTHER_RECIPE, RENEW, RERUN, Act, Command, Story

UP: Final = Act(command="up")
ROLES: Final[tuple[Role, ...]] = ("engine", "engine", "provider", "host", "program", "all", "all")
MOMENTS: Final[tuple[When, ...]] = ("unsent", "sent", "answered")
# About so many calls does each make; one that is not reached strikes nothing.
CALLS: Final = {"up": 22, "refresh": 4, "destroy": 6, "replace": 22, "extend": 7, "renewal": 22}


def kill_in_up(chance: random.Random) -> Story:
    """kill -9 of engine, provider, host, program or all at any call of the first `up`."""
    return Story(
        acts=(_struck(chance, "up", "up"), *_then(chance)), bucket_exists=chance.random() < 0.5
    )


def kill_in_refresh(chance: random.Random) -> Story:
    """The same in `refresh`."""
    return Story(acts=(UP, _struck(chance, "refresh", "refresh"), *_then(chance)))


def kill_in_destroy(chance: random.Random) -> Story:
    """The same in `destroy`."""
    return Story(acts=(UP, _struck(chance, "destroy", "destroy"), *_then(chance)))


def kill_in_replace(chance: random.Random) -> Story:
    """The same while a machine is replaced, by another recipe or a rerun."""
    config = chance.choice([RERUN, OTHER_RECIPE])
    return Story(acts=(UP, _struck(chance, "up", "replace", config=config), *_then(chance)))


def kill_in_extend(chance: random.Random) -> Story:
    """The same while hours are bought."""
    return Story(acts=(UP, _struck(chance, "up", "extend", config=LONGER), *_then(chance)))


def kill_in_renewal(chance: random.Random) -> Story:
    """The same while a run gets new credentials."""
    return Story(acts=(UP, _struck(chance, "up", "renewal", config=RENEW), *_then(chance)))


def kill_in_image_build(chance: random.Random) -> Story:
    """kill -9 while the image is built or pushed, before the first machine or between two."""
    kill = Strike(action=Kill(chance.choice(ROLES)), after_s=chance.uniform(1.5, 6.0))
    changed = Act(command="change image")
    if chance.random() < 0.5:
        return Story(acts=(changed, Act(command="up", strikes=(kill,))))
    return Story(acts=(UP, changed, Act(command="up", config=RERUN, strikes=(kill,))))


def interrupt_at_a_call(chance: random.Random) -> Story:
    """Ctrl-C, once or twice, at any call of `up`, `refresh`, `destroy` or a replacement."""
    command, config, calls = _any_command(chance)
    do = Do(Interrupt(chance.choice([1, 2])), chance.choice(MOMENTS[1:]))
    fault = Fault(ANY, do, nth=chance.randint(1, calls))
    first = () if command == "up" and not config else (UP,)
    return Story(acts=(*first, Act(command=command, config=config, faults=(fault,))))


def interrupt_at_a_second(chance: random.Random) -> Story:
    """Ctrl-C, once or twice, some seconds into a command."""
    command, config, _ = _any_command(chance)
    strike = Strike(action=Interrupt(chance.choice([1, 2])), after_s=chance.uniform(1.0, 12.0))
    first = () if command == "up" and not config else (UP,)
    return Story(acts=(*first, Act(command=command, config=config, strikes=(strike,))))


def killed_again(chance: random.Random) -> Story:
    """Two kills in a row: the command that would mend the first is killed too."""
    first = _struck(chance, "up", "up")
    return Story(acts=(first, _struck(chance, chance.choice(["up", "destroy"]), "up")))


def _struck(
    chance: random.Random,
    command: Command,
    calls: str,
    *,
    config: Mapping[str, Any] | None = None,
) -> Act:
    do = Do(Kill(chance.choice(ROLES)), chance.choice(MOMENTS))
    fault = Fault(ANY, do, nth=chance.randint(1, CALLS[calls]))
    return Act(command=command, config=config or {}, faults=(fault,))


def _any_command(chance: random.Random) -> tuple[Command, Mapping[str, Any], int]:
    return chance.choice(
        [
            ("up", {}, CALLS["up"]),
            ("up", RERUN, CALLS["replace"]),
            ("up", OTHER_RECIPE, CALLS["replace"]),
            ("up", LONGER, CALLS["extend"]),
            ("refresh", {}, CALLS["refresh"]),
            ("destroy", {}, CALLS["destroy"]),
        ]
    )


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
