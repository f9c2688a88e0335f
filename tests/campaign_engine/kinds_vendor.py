"""A vendor in a bad mood: storms, lags, moving prices, calls held on their way, others' hands."""

from __future__ import annotations

import random
from typing import Final

from tests.campaign_engine.faults import (
    ANY,
    DELETE,
    DEPLOY,
    EXTEND,
    OF_BUCKET,
    OF_CLOUDFLARE,
    OF_IONET,
    QUOTE,
    Calls,
    Do,
    EndMachines,
    Fault,
    Hold,
    Kill,
    Lose,
    Price,
    Storm,
)
from tests.campaign_engine.story import LONGER, OTHER_RECIPE, RERUN, Act, Story
from tests.campaign_engine.struck import AGAIN, FIRST, HOURS, RECIPE, UP, anywhere

ON_ITS_WAY_S: Final = 25.0


def list_lag(chance: random.Random) -> Story:
    """The list shows a machine up to 30 s late, and the reply to the rental is lost besides."""
    lost = Fault(DEPLOY, Lose(chance.choice(["cut", "page", "half-json", "empty"])))
    killed = Fault(DEPLOY, Do(Kill(chance.choice(["engine", "all"])), "answered"))
    acts = (
        Act(command="up", faults=(chance.choice([lost, killed]),)),
        *chance.choice([(), (UP,), (Act(command="refresh"),), (Act(command="destroy"),)]),
    )
    return Story(acts=acts, quirks={"list_delay_s": float(chance.randint(3, 30))})


def storm(chance: random.Random) -> Story:
    """A vendor answers nothing but 500, 503 or 429 for some seconds, from any call on."""
    calls: Calls = chance.choice([OF_IONET, OF_IONET, OF_CLOUDFLARE, OF_BUCKET])
    effect = Storm(chance.choice([500, 503, 429]), chance.choice([3.0, 10.0, 20.0]))
    return Story(acts=anywhere(chance, lambda nth: Fault(calls, effect, nth=nth), most=4))


def held_deploy(chance: random.Random) -> Story:
    """A rental is on its way for 25 s; its client is killed and the user goes on at once."""
    killed = Fault(DEPLOY, Do(Kill(chance.choice(["all", "all", "engine", "provider"]))))
    up = Act(command="up", faults=(killed, Fault(DEPLOY, Hold(ON_ITS_WAY_S))))
    return Story(acts=(up, chance.choice([Act(command="destroy"), Act(command="destroy"), UP])))


def held_extension(chance: random.Random) -> Story:
    """Bought hours are on their way for 25 s; the client is killed and the user goes on at once."""
    killed = Fault(EXTEND, Do(Kill(chance.choice(["all", "engine", "provider"]))))
    up = Act(command="up", config=LONGER, faults=(killed, Fault(EXTEND, Hold(ON_ITS_WAY_S))))
    return Story(acts=(UP, up, chance.choice([Act(command="destroy"), UP, UP])))


def held_call(chance: random.Random) -> Story:
    """Any call is on its way for some seconds, and lands with nobody waiting for it."""
    hold = Hold(chance.choice([5.0, 15.0]))
    return Story(acts=anywhere(chance, lambda nth: Fault(ANY, hold, nth=nth)))


def prices_move(chance: random.Random) -> Story:
    """All prices become five times or a fifth of what they were, between any two calls."""
    factor = chance.choice([5.0, 5.0, 0.2])
    moved = Price(factor)
    calls, do = chance.choice(
        [(QUOTE, Do(moved)), (QUOTE, Do(moved, "answered")), (ANY, Do(moved, "answered"))]
    )
    return Story(
        acts=anywhere(
            chance,
            lambda nth: Fault(calls, do, nth=nth),
            (FIRST, RECIPE, AGAIN, HOURS),
            most=30 if calls is ANY else 9,
        ),
        config={"maxCostUsd": chance.choice([2, 3])},
    )


def dearer_extension(chance: random.Random) -> Story:
    """More hours are asked for when they have become dearer than the cap allows, or are not."""
    factor = chance.choice([5.0, 5.0, 2.0])
    acts = (UP, Act(command="move prices", factor=factor), Act(command="up", config=LONGER))
    return Story(acts=acts)


def machine_ended_by_others(chance: random.Random) -> Story:
    """A machine is given back in the console, or lost with its disk, before or within a command."""
    if chance.random() < 0.5:
        act = chance.choice([Act(command="give machines back"), Act(command="lose machines")])
        then = chance.choice([(), (Act(command="refresh"),), (Act(command="up", config=RERUN),)])
        return Story(acts=(UP, act, *then))
    ended = Do(EndMachines(chance.choice(["given back", "lost"])), "sent")
    fault = Fault(OF_IONET, ended, nth=chance.randint(1, 6))
    struck = chance.choice(
        [
            Act(command="refresh", faults=(fault,)),
            Act(command="destroy", faults=(fault,)),
            Act(command="up", config=OTHER_RECIPE, faults=(fault,)),
            Act(command="up", config=LONGER, faults=(fault,)),
        ]
    )
    return Story(acts=(UP, struck))


def another_accounts_key(chance: random.Random) -> Story:
    """`refresh`, `up` or `destroy` with a good key of an account that rents nothing."""
    wrong = chance.choice(
        [
            Act(command="refresh", other_account=True),
            Act(command="destroy", other_account=True),
            Act(command="up", other_account=True),
            Act(command="up", config=RERUN, other_account=True),
            Act(command="up", config=LONGER, other_account=True),
        ]
    )
    return Story(acts=(UP, wrong))


def slow_end(chance: random.Random) -> Story:
    """A machine takes long to end, and the reply that says so is lost or storms follow."""
    effect = chance.choice([Lose("cut"), Lose("page"), Storm(503, 5.0), Hold(5.0)])
    act = chance.choice(
        [
            Act(command="destroy", faults=(Fault(DELETE, effect),)),
            Act(command="up", config=RERUN, faults=(Fault(DELETE, effect),)),
        ]
    )
    quirks = {"termination_s": chance.uniform(2, 10), "delete_ended": chance.choice(["400", "404"])}
    return Story(acts=(UP, act), quirks=quirks)


KINDS: Final = (
    list_lag,
    storm,
    held_deploy,
    held_extension,
    held_call,
    prices_move,
    dearer_extension,
    machine_ended_by_others,
    another_accounts_key,
    slow_end,
)
