"""Whether what a stack's machine will fetch on paid time is to be had, as the preflight asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from components import upstream_check
from container.contract.recipe import RecipeError, load_recipe
from container.contract.upstream import fetched

AT_MOST_S: Final = sum(upstream_check.TIMEOUT_S)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What came of it; `remedy` only when something is to be done."""

    outcome: Literal["ok", "refused", "unknown"]
    what: str
    remedy: str = ""


def look(config: Mapping[str, str]) -> Look:
    """Ask for each file where the stack's config has a machine fetch it; never raises."""
    try:
        files = fetched(load_recipe(config.get("recipe", "")).nanochat)
    except RecipeError:
        return Look(outcome="unknown", what="not asked: the config names no recipe that is known")
    if not files:
        return Look(outcome="ok", what="nothing that is asked for here")
    answers = upstream_check.ask_all(
        files, mirror=config.get("datasetMirror", ""), hub_mirror=config.get("hubMirror", "")
    )
    missing = [one for one in answers if one.blocks] or [
        one for one in answers if one.outcome != "there"
    ]
    if not missing:
        hosts = sorted({one.host for one in answers})
        return Look(outcome="ok", what=f"{len(answers)} looked up, at {', '.join(hosts)}")
    return Look(
        outcome="refused" if missing[0].blocks else "unknown",
        what="; ".join(one.what for one in missing),
        remedy="; ".join(sorted({one.remedy for one in missing if one.remedy})),
    )
