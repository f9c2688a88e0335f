"""Which commits of nanochat a recipe's command lines hold for; pure: nobody is asked.

nanochat has neither releases nor tags, and from a hash alone nothing follows about what a commit
has. So the commits that are known to work are listed (`container/recipes/_nanochat_commits.py`), in
ranges, by generation: what takes the same command lines and keeps its files in the same folders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SHORTEST = 7  # as git abbreviates
_HASH = re.compile(rf"[0-9a-f]{{{SHORTEST},40}}")


@dataclass(frozen=True, kw_only=True)
class CommitRange:
    """Commits in a row on nanochat's master."""

    since: str  # the day of the first
    until: str
    listing: str  # whole hashes, oldest first
    has: str = ""  # what tells it from the other ranges of its generation
    attention: Literal["Hopper", "all"] = "Hopper"  # the GPUs that it has Flash Attention 3 for

    @property
    def commits(self) -> tuple[str, ...]:
        return tuple(self.listing.split())

    def __str__(self) -> str:
        first, last = self.commits[0][:SHORTEST], self.commits[-1][:SHORTEST]
        ends = f"{first} ({self.since}) to {last} ({self.until})"
        return f"{ends}, {self.has}" if self.has else ends


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What a recipe has to know of nanochat, the same in all these commits."""

    title: str
    ranges: tuple[CommitRange, ...]
    stages: tuple[str, ...]  # that run a program of nanochat's, in order
    flags: Mapping[str, Mapping[str, str]]  # by program, then by what it takes
    shards: str  # the folder that the data set's shards are put into
    validation_shard: int | None  # its number; None: the last one on disk
    checkpoints: Mapping[str, str]  # the folder of each stage that trains
    question_sets: tuple[str, ...]  # that its conversations are made of, as `prepare` takes them

    def range_of(self, commit: str) -> CommitRange | None:
        """Return the range that a commit, whole or short, is known to lie in."""
        if not _HASH.fullmatch(commit):
            return None
        found = [one for one in self.ranges for whole in one.commits if whole.startswith(commit)]
        return found[0] if len(found) == 1 else None


def misfit(commit: str, *, recipe: str, known: Mapping[str, Generation]) -> str:
    """Return why a recipe cannot be run with a commit, and with which it can; "" when it can.

    `known` has the generation of each recipe by its name. A recipe that has none runs nothing of
    nanochat, and takes any commit that some other one takes.
    """
    takers = [name for name, generation in known.items() if generation.range_of(commit)]
    if recipe in takers or (takers and recipe not in known):
        return ""
    if not _HASH.fullmatch(commit):
        why = f"is no commit ({SHORTEST} to 40 hex digits, in lower case); a name may move"
    elif takers:
        why = f"is nanochat {known[takers[0]].title}, which is for {', '.join(takers)}"
    else:
        why = "no recipe is known to work with it"
    own = {recipe: known[recipe]} if recipe in known else known
    works = {one.title: f"{name} works with {_spelled(one)}" for name, one in own.items()}
    return f"{why}. Of nanochat's master {', and '.join(works.values())}"


def _spelled(generation: Generation) -> str:
    return "; ".join(map(str, generation.ranges))
