"""The table of story kinds: a name, what it covers, and how chance makes a story of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import yaml

from tests import ROOT
from tests.campaign_engine import (
    kinds_in_place,
    kinds_kills,
    kinds_lost,
    kinds_money,
    kinds_states,
    kinds_vendor,
)
from tests.campaign_engine.story import Story

Make = Callable[[random.Random], Story]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of story; `needs` is a config key without which it cannot be told."""

    name: str
    make: Make
    needs: str = ""

    @property
    def tells(self) -> str:
        """What it covers, in a sentence."""
        return " ".join((self.make.__doc__ or "").split())

    def story(self, seed: int) -> Story:
        """Return the story of this kind that a seed makes; always the same."""
        return self.make(random.Random(seed))  # noqa: S311  # which faults are planted

    @property
    def skipped(self) -> str:
        """Why it cannot be played with the program as it is; "" when it can."""
        if not self.needs or f"trainstack:{self.needs}" in _declared():
            return ""
        return f"Pulumi.yaml declares no trainstack:{self.needs}"


def _declared() -> set[str]:
    return set(yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"])


_RENEW: Final = {
    kinds_lost.lost_in_renewal,
    kinds_kills.kill_in_renewal,
    kinds_states.rolled_back_renewal,
    kinds_states.renewal,
}
KINDS: Final = tuple(
    Kind(name=make.__name__.replace("_", "-"), make=make, needs="renew" if make in _RENEW else "")
    for make in (
        *kinds_lost.KINDS,
        *kinds_vendor.KINDS,
        *kinds_kills.KINDS,
        *kinds_states.KINDS,
        *kinds_money.KINDS,
        *kinds_in_place.KINDS,
    )
)


def of_seed(seed: int) -> Kind:
    """Return the kind of a seed: seeds in a row go through the table."""
    return KINDS[seed % len(KINDS)]


def named(name: str) -> Kind:
    """Return a kind by its name; raises KeyError."""
    return {kind.name: kind for kind in KINDS}[name]
