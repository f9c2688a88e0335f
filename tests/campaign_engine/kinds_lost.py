"""Replies that are lost on their way, in every form, of each call that changes something."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.campaign_engine.faults import (
    ANY,
    BUCKET_MADE,
    DELETE,
    DEPLOY,
    EXTEND,
    FORMS,
    LEDGER_READ,
    LEDGER_WRITTEN,
    TOKEN_DELETED,
    TOKEN_MADE,
    Calls,
    Effect,
    Fault,
    Lose,
    WrongId,
)
from tests.campaign_engine.story import (
    LONGER,
    NOTHING,
    OTHER_RECIPE,
    RENEW,
    RERUN,
    Act,
    Story,
)
from tests.campaign_engine.struck import (
    AGAIN,
    DESTROY,
    FIRST,
    HOURS,
    RECIPE,
    UP,
    anywhere,
)


def lost_deploy(chance: random.Random) -> Story:
    """The reply to a rental is lost, or bears a wrong ID; then `up` again, or what a user tries."""
    effect: Effect = chance.choice([*map(Lose, FORMS), WrongId()])
    up = Act(command="up", faults=(Fault(DEPLOY, effect),))
    then = chance.choice([(), (UP,), (Act(command="refresh"),), (Act(command="destroy"),)])
    return Story(acts=(up, *then), bucket_exists=chance.random() < 0.5)


def lost_deploy_of_another_machine(chance: random.Random) -> Story:
    """The reply to the second rental is lost, when a machine is replaced."""
    config = chance.choice([RERUN, OTHER_RECIPE])
    return Story(acts=(UP, _up(chance, DEPLOY, config=config)))


def lost_delete(chance: random.Random) -> Story:
    """The reply to a machine's end is lost, in `destroy` or when it is replaced."""
    if chance.random() < 0.5:
        return Story(acts=(UP, _destroy(chance, DELETE)))
    config = chance.choice([RERUN, OTHER_RECIPE])
    return Story(acts=(UP, _up(chance, DELETE, config=config)))


def lost_extend(chance: random.Random) -> Story:
    """The reply to more hours is lost; they must not be bought twice."""
    again = chance.choice([(), (UP,), (Act(command="refresh"), UP)])
    return Story(acts=(UP, _up(chance, EXTEND, config=LONGER), *again))


def lost_token_made(chance: random.Random) -> Story:
    """The reply to a new token, with its value, is lost: first run or rerun."""
    if chance.random() < 0.6:
        return Story(acts=(_up(chance, TOKEN_MADE),), bucket_exists=chance.random() < 0.5)
    return Story(acts=(UP, _up(chance, TOKEN_MADE, config=RERUN)))


def lost_token_deleted(chance: random.Random) -> Story:
    """The reply to a token's end is lost, in `destroy` or in a rerun."""
    if chance.random() < 0.6:
        return Story(acts=(UP, _destroy(chance, TOKEN_DELETED)))
    return Story(acts=(UP, _up(chance, TOKEN_DELETED, config=RERUN)))


def lost_bucket_made(chance: random.Random) -> Story:
    """The reply to the bucket's making is lost."""
    return Story(acts=(_up(chance, BUCKET_MADE),), bucket_exists=False)


def lost_ledger_entry(chance: random.Random) -> Story:
    """The reply to a write of the ledger is lost, in any command that rents, extends or ends."""
    changing = (FIRST, RECIPE, AGAIN, HOURS, DESTROY)
    return Story(
        acts=anywhere(chance, _lost(chance, LEDGER_WRITTEN), changing, most=3),
        bucket_exists=chance.random() < 0.7,
    )


def lost_ledger_reading(chance: random.Random) -> Story:
    """The reply to a look into the ledger is lost, in any command."""
    return Story(acts=anywhere(chance, _lost(chance, LEDGER_READ), most=4))


def lost_in_renewal(chance: random.Random) -> Story:
    """The reply to any call that changes something is lost while a run gets new credentials."""
    calls = chance.choice([TOKEN_MADE, TOKEN_DELETED, DEPLOY, DELETE, LEDGER_WRITTEN])
    return Story(acts=(UP, _up(chance, calls, config=RENEW)))


def lost_any_call(chance: random.Random) -> Story:
    """The reply to any call of any command is lost, reads too."""
    return Story(acts=anywhere(chance, _lost(chance, ANY)), bucket_exists=chance.random() < 0.5)


def _lost(chance: random.Random, calls: Calls) -> Callable[[int], Fault]:
    return lambda nth: Fault(calls, Lose(chance.choice(FORMS)), nth=nth)


def _up(chance: random.Random, calls: Calls, *, config: Mapping[str, Any] = NOTHING) -> Act:
    return Act(command="up", config=config, faults=(Fault(calls, Lose(chance.choice(FORMS))),))


def _destroy(chance: random.Random, calls: Calls) -> Act:
    return Act(command="destroy", faults=(Fault(calls, Lose(chance.choice(FORMS))),))


KINDS: Final = (
    lost_deploy,
    lost_deploy_of_another_machine,
    lost_delete,
    lost_extend,
    lost_token_made,
    lost_token_deleted,
    lost_bucket_made,
    lost_ledger_entry,
    lost_ledger_reading,
    lost_in_renewal,
    lost_any_call,
)
