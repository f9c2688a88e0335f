"""Hours that run out, runs that are told to stop, and somebody who is told and is away."""

from __future__ import annotations

import random
from typing import Final

from tests.campaign_engine.commands import Strike
from tests.campaign_engine.faults import (
    DELETE,
    FORMS,
    OF_BUCKET,
    OF_IONET,
    Do,
    EndMachines,
    Fault,
    Interrupt,
    Kill,
    Lose,
    Storm,
)
from tests.campaign_engine.story import LONGER, OTHER_RECIPE, RENEW, RERUN, Act, Story
from tests.campaign_engine.struck import UP

STOP: Final = Act(command="stop run")
OVER: Final = Act(command="let hours run out")


def stopped(chance: random.Random) -> Story:
    """A run is told to stop, its machine given back; then a user goes on, or does it again."""
    then = chance.choice(
        [(), (STOP,), (Act(command="refresh"),), (Act(command="destroy"),), (UP, STOP)]
    )
    return Story(acts=(UP, STOP, *then))


def stop_struck(chance: random.Random) -> Story:
    """The same with a kill, Ctrl-C, a storm or a lost reply at any of its calls."""
    fault = chance.choice(
        [
            Fault(OF_BUCKET, Storm(503, 6.0), nth=chance.randint(1, 10)),
            Fault(OF_BUCKET, Do(Kill("all")), nth=chance.randint(1, 20)),
            Fault(OF_IONET, Do(Kill("all")), nth=chance.randint(1, 8)),
            Fault(OF_IONET, Do(Interrupt()), nth=chance.randint(1, 8)),
            Fault(DELETE, Lose(chance.choice(FORMS))),
        ]
    )
    then = chance.choice([(), (STOP,), (UP,)])
    return Story(acts=(UP, Act(command="stop run", faults=(fault,)), *then))


def stop_killed(chance: random.Random) -> Story:
    """The same with a kill or Ctrl-C some time after its start."""
    action = chance.choice([Kill("all"), Interrupt(), Interrupt(2)])
    strike = Strike(action=action, after_s=chance.uniform(0.5, 8.0))
    return Story(acts=(UP, Act(command="stop run", strikes=(strike,))))


def hours_over(chance: random.Random) -> Story:
    """The bought hours run out, between two commands or at a call within one."""
    if chance.random() < 0.5:
        then = chance.choice(
            [
                (),
                (UP,),
                (Act(command="refresh"),),
                (Act(command="up", config=RENEW),),
                (Act(command="up", config=RERUN),),
                (Act(command="up", config=OTHER_RECIPE),),
                (Act(command="destroy"),),
            ]
        )
        return Story(acts=(UP, OVER, *then))
    fault = Fault(OF_IONET, Do(EndMachines("over")), nth=chance.randint(1, 6))
    struck = chance.choice(
        [
            Act(command="up", config=LONGER, faults=(fault,)),
            Act(command="up", config=OTHER_RECIPE, faults=(fault,)),
            Act(command="destroy", faults=(fault,)),
            Act(command="stop run", faults=(fault,)),
        ]
    )
    return Story(acts=(UP, struck))


def told_is_away(chance: random.Random) -> Story:
    """Who is told does not answer: nothing waits for it, and its address is told to nobody."""
    then = chance.choice([STOP, Act(command="destroy"), Act(command="up", config=RERUN)])
    return Story(acts=(Act(command="name who is told"), UP, then))


KINDS: Final = (stopped, stop_struck, stop_killed, hours_over, told_is_away)
