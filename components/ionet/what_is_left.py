"""How much of a run a machine that is rented now has to train: what lies in its bucket is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from components.ionet import machine_state, properties, session
from components.ionet.offers import Wish
from components.r2 import checkpoint_reader
from container.contract.environment import NAMES
from container.contract.keys import MarkerKey
from container.contract.recipe import RecipeError, as_asked, load_recipe

Props = Mapping[str, Any]


def wish_of(news: Props) -> tuple[Wish, float]:
    """Return the wish for a machine that goes on from the newest checkpoint of the run's prefix.

    And of which share of the whole run its hours are then. Where the config says a number of hours,
    or the bucket does not answer, or has none, they are the whole run's.
    """
    wish, values = properties.wish(news), properties.known(news)
    if wish.hours or wish.timed_for is None or not isinstance(values.get("r2Prefix"), str):
        return wish, 1.0
    place = machine_state.place(news)
    found = checkpoint_reader.newest_marker(place, session.ways(news))
    share = share_left(values.get("env") or {}, found) if found else 1.0
    timed_for = replace(wish.timed_for, hours=wish.timed_for.hours * share)
    return replace(wish, timed_for=timed_for), share


def decided(props: Props, wish: Wish) -> Wish:
    """Return a wish whose hours were decided when the machine was chosen: none is too slow then.

    Fewer may be enough than the whole run takes.
    """
    if wish.timed_for is None or not properties.leaves_hours_open(props):
        return wish
    return replace(wish, timed_for=replace(wish.timed_for, hours=0.0))


def share_left(env: Mapping[str, str], newest: MarkerKey) -> float:
    """Return the share of a run's hours that is left after a checkpoint; 1 where nobody knows."""
    try:
        settings = json.loads(env.get(NAMES["settings"]) or "{}")
        recipe = as_asked(load_recipe(env[NAMES["recipe"]]), settings=settings, commit="")
    except (KeyError, ValueError, RecipeError):
        return 1.0
    return recipe.share_left(stage=newest.stage, step=newest.step)
