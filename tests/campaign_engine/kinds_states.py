"""State that is not what happened: lost, rolled back, twice; and a sweep whose runs are renamed."""

from __future__ import annotations

import random
from typing import Final

from tests.campaign_engine.faults import ANY, FORMS, Do, Effect, Fault, Kill, Lose
from tests.campaign_engine.story import LONGER, OTHER_RECIPE, RENEW, RERUN, Act, Story
from tests.campaign_engine.struck import UP

EXPORT: Final = Act(command="export state")
IMPORT: Final = Act(command="import state")
LOST: Final = Act(command="lose state")


def undisturbed(chance: random.Random) -> Story:
    """No fault at all: up, up again, preview, refresh, more hours, another recipe or a rerun."""
    config = chance.choice([RERUN, OTHER_RECIPE])
    acts = (
        UP,
        UP,
        Act(command="preview"),
        Act(command="refresh"),
        Act(command="up", config=LONGER),
        Act(command="up", config=config),
    )
    return Story(acts=acts, bucket_exists=chance.random() < 0.5)


def two_engines(chance: random.Random) -> Story:
    """Two engines at once on one stack, for the first machine or a change."""
    first, config = chance.choice([((), {}), ((UP,), RERUN), ((UP,), LONGER)])
    beside = Act(command=chance.choice(["up", "up", "destroy", "refresh"]), config={})
    return Story(acts=(*first, Act(command="up", config=config, beside=beside)))


def two_backends(chance: random.Random) -> Story:
    """The same stack name and bucket in two backends, one after the other or at once."""
    other = Act(command="up", backend="b")
    if chance.random() < 0.5:
        return Story(acts=(UP, other, *chance.choice([(), (Act(command="destroy", backend="b"),)])))
    return Story(acts=(Act(command="up", beside=other),))


def rolled_back(chance: random.Random) -> Story:
    """A copy of the state from before a rerun, another recipe or more hours is imported."""
    config = chance.choice([RERUN, OTHER_RECIPE, LONGER])
    then = chance.choice([(), (Act(command="refresh"),), (Act(command="destroy"),)])
    return Story(acts=(UP, EXPORT, Act(command="up", config=config), IMPORT, *then))


def rolled_back_renewal(chance: random.Random) -> Story:
    """The same over new credentials."""
    then = chance.choice([(), (Act(command="refresh"),)])
    return Story(acts=(UP, EXPORT, Act(command="up", config=RENEW), IMPORT, *then))


def rolled_back_to_nothing(chance: random.Random) -> Story:
    """The state from before the first machine is imported, or the one from before `destroy`."""
    if chance.random() < 0.5:
        return Story(acts=(EXPORT, UP, IMPORT, *chance.choice([(), (Act(command="refresh"),)])))
    return Story(acts=(UP, EXPORT, Act(command="destroy"), IMPORT))


def state_lost(chance: random.Random) -> Story:
    """The state is lost while a machine bills; also after a change, or in the middle of one."""
    before = chance.choice(
        [
            (UP,),
            (UP, Act(command="up", config=RERUN)),
            (
                UP,
                Act(
                    command="up",
                    config=RERUN,
                    faults=(Fault(ANY, Do(Kill("all")), nth=chance.randint(6, 40)),),
                ),
            ),
        ]
    )
    then = chance.choice([(), (), (Act(command="destroy"),)])
    return Story(acts=(*before, LOST, *then))


def renewal(chance: random.Random) -> Story:
    """A run gets new credentials, once or, after a rerun, again."""
    again = chance.choice([(), (Act(command="up", config=RERUN),), (UP,)])
    return Story(acts=(UP, Act(command="up", config=RENEW), *again))


def sweep_renamed(chance: random.Random) -> Story:
    """Two runs of a sweep, of which one is renamed; undisturbed, or killed within."""
    before = {"runs": {"one": {}, "two": {}}}
    after = {"runs": {"one": {}, "three": {}}}
    killed = Fault(ANY, Do(Kill(chance.choice(["engine", "all"]))), nth=chance.randint(1, 50))
    faults = chance.choice([(), (killed,)])
    return Story(acts=(UP, Act(command="up", config=after, faults=faults)), config=before)


def sweep_struck(chance: random.Random) -> Story:
    """Two runs of a sweep, with a kill or a lost reply at any call of the first `up`."""
    effects: list[Effect] = [
        Do(Kill(chance.choice(["engine", "provider", "all"]))),
        Lose(chance.choice(FORMS)),
    ]
    fault = Fault(ANY, chance.choice(effects), nth=chance.randint(1, 60))
    return Story(
        acts=(Act(command="up", faults=(fault,)),), config={"runs": {"one": {}, "two": {}}}
    )


KINDS: Final = (
    undisturbed,
    two_engines,
    two_backends,
    rolled_back,
    rolled_back_renewal,
    rolled_back_to_nothing,
    state_lost,
    renewal,
    sweep_renamed,
    sweep_struck,
)
