"""Which command of a user a fault strikes, and at which of its calls: drawn by chance."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.campaign_engine.faults import Fault
from tests.campaign_engine.story import LONGER, NOTHING, OTHER_RECIPE, RERUN, Act, Command

UP: Final = Act(command="up")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A command that changes something, or looks; makes about so many calls undisturbed.

    A fault at a call that is not reached strikes nothing, and is not counted.
    """

    command: Command
    config: Mapping[str, Any]
    calls: int

    def act(self, *faults: Fault) -> Act:
        return Act(command=self.command, config=self.config, faults=faults)

    def after_first_up(self, act: Act) -> tuple[Act, ...]:
        """Return the acts that lead to it: none before the first `up`."""
        return (act,) if self is FIRST else (UP, act)


FIRST: Final = Target(command="up", config=NOTHING, calls=35)
RECIPE: Final = Target(command="up", config=OTHER_RECIPE, calls=37)
AGAIN: Final = Target(command="up", config=RERUN, calls=44)
HOURS: Final = Target(command="up", config=LONGER, calls=22)
REFRESH: Final = Target(command="refresh", config=NOTHING, calls=3)
DESTROY: Final = Target(command="destroy", config=NOTHING, calls=13)
TARGETS: Final = (FIRST, RECIPE, AGAIN, HOURS, REFRESH, DESTROY)

Plant = Callable[[int], Fault]  # of the number of the call


def anywhere(
    chance: random.Random, plant: Plant, targets: Sequence[Target] = TARGETS, *, most: int = 0
) -> tuple[Act, ...]:
    """Return acts of which the last has the fault, at any of its calls or of the first `most`."""
    target = chance.choice(targets)
    act = target.act(plant(chance.randint(1, most or target.calls)))
    return target.after_first_up(act)
