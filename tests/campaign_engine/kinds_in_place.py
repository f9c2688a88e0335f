"""Changes of a rented machine's container, first hours and their check, two that buy hours."""

from __future__ import annotations

import random
from typing import Final

from tests.campaign_engine.commands import Strike
from tests.campaign_engine.faults import (
    CHANGE,
    DELETE,
    EXTEND,
    FORMS,
    LEDGER_WRITTEN,
    Do,
    Effect,
    Fault,
    Hold,
    Interrupt,
    Kill,
    Lose,
    Role,
)
from tests.campaign_engine.kinds_kills import MOMENTS
from tests.campaign_engine.story import LONGER, OTHER_RECIPE, RENEW, Act, Machines, Story, Trouble
from tests.campaign_engine.struck import UP

_ROLES: Final[tuple[Role, ...]] = ("engine", "provider", "all")
_FIRST_HOUR: Final = {"durationHours": 3, "firstHours": 1}
_ON_ITS_WAY_S: Final = 25.0
_NEEDS_S: Final = 5400.0  # with the margin 1.8 h: one hour is missing
_WATCHED_S: Final = 40.0
_NO_UP: Final[tuple[Act, ...]] = ()


def change_lost(chance: random.Random) -> Story:
    """The reply to a change of a container is lost: nothing is told twice, nothing replaced."""
    return _changed(chance, Fault(CHANGE, Lose(chance.choice(FORMS))))


def change_killed(chance: random.Random) -> Story:
    """kill -9 or Ctrl-C when a container is changed, also while the change is on its way."""
    role = chance.choice(_ROLES)
    when = chance.choice(MOMENTS)
    struck = Fault(CHANGE, Do(chance.choice([Kill(role), Kill(role), Interrupt(2)]), when))
    held = chance.choice([(), (Fault(CHANGE, Hold(_ON_ITS_WAY_S)),)])
    return _changed(chance, struck, *held)


def change_refused(chance: random.Random) -> Story:
    """The vendor refuses, ignores or halves a change: the next `up` replaces, as is said."""
    config = chance.choice([OTHER_RECIPE, RENEW])
    quirks = {"update": chance.choice(["refused", "ignored", "env_dropped", "merged"])}
    return Story(acts=(UP, Act(command="up", config=config)), quirks=quirks)


def first_hour(chance: random.Random) -> Story:
    """The reply to the rest of the hours is lost, held, or its client killed: bought once."""
    kill = Kill(chance.choice(_ROLES))
    moment = chance.choice(MOMENTS)
    effects: list[Effect] = [Lose(chance.choice(FORMS)), Do(kill, moment), Do(Interrupt(2))]
    faults = (Fault(EXTEND, chance.choice(effects)),)
    if chance.random() < 0.3:
        faults = (Fault(EXTEND, Do(kill)), Fault(EXTEND, Hold(_ON_ITS_WAY_S)))
    then = chance.choice([_NO_UP, (UP,), (Act(command="refresh"),), (Act(command="destroy"),)])
    up = Act(command="up", faults=faults)
    return Story(acts=(up, *then), config=_FIRST_HOUR, hours_at_end=3)


def machine_refused(chance: random.Random) -> Story:
    """A machine's check refuses it, or it never comes up: given back, the next `up` takes another.

    Undisturbed, or with a kill or a lost reply while it is given back.
    """
    troubles: list[Trouble] = ["refused", "slow", "silent"]
    how = chance.choice(troubles)
    effects: list[Effect] = [Lose(chance.choice(FORMS)), Do(Kill("all")), Do(Interrupt(2))]
    struck = Fault(chance.choice([DELETE, LEDGER_WRITTEN]), chance.choice(effects))
    faults = chance.choice([(), (struck,)])
    again = (UP,) if faults else chance.choice([_NO_UP, (Act(command="destroy"),)])
    return Story(
        acts=(Act(command="up", faults=faults), *again),
        config={**_FIRST_HOUR, "readyTimeoutMinutes": 1},
        machines=Machines(faulty=1, how=how),
        hours_at_end=3,
    )


def two_watchers(chance: random.Random) -> Story:
    """Two watchers extend one run that will not end in time; undisturbed, or struck at it."""
    fault = chance.choice(
        [
            None,
            Fault(EXTEND, Lose(chance.choice(FORMS))),
            Fault(EXTEND, Hold(10.0)),
            Fault(EXTEND, Do(Kill("all"), chance.choice(MOMENTS[1:]))),
        ]
    )
    watch = Act(
        command="watch and extend",
        beside=Act(command="watch and extend"),
        faults=() if fault is None else (fault,),
        strikes=(Strike(action=Interrupt(), after_s=_WATCHED_S),),
    )
    return Story(
        acts=(UP, watch, *chance.choice([(), (watch,)])),
        config={"autoExtend": 2},
        machines=Machines(needs_s=_NEEDS_S),
        hours_at_end=2,
    )


def _changed(chance: random.Random, *faults: Fault) -> Story:
    """Return a story whose change of recipe, credentials or both with hours is struck."""
    config = chance.choice([OTHER_RECIPE, RENEW, {**OTHER_RECIPE, **LONGER}])
    then = chance.choice([_NO_UP, (UP,), (Act(command="refresh"),), (Act(command="destroy"),)])
    return Story(acts=(UP, Act(command="up", config=config, faults=faults), *then))


KINDS: Final = (
    change_lost,
    change_killed,
    change_refused,
    first_hour,
    machine_refused,
    two_watchers,
)
