"""What a story is: settings, a user's commands, and the faults planted in them; data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from container.recipes.rehearsal import TEST_SETTINGS
from tests.campaign_engine.commands import Strike
from tests.campaign_engine.faults import Fault

Command = Literal[
    "up",
    "preview",
    "refresh",
    "destroy",
    "export state",
    "import state",
    "lose state",
    "change image",
    "give machines back",
    "lose machines",
    "move prices",
    "let hours run out",
    "stop run",
    "name who is told",
    "watch and extend",
]

NOTHING: Final[Mapping[str, Any]] = {}
RERUN: Final[Mapping[str, Any]] = {"rerun": 1}
LONGER: Final[Mapping[str, Any]] = {"durationHours": 2}
OTHER_RECIPE: Final[Mapping[str, Any]] = {"recipeSettings": {**TEST_SETTINGS, "num_iterations": 50}}
RENEW: Final[Mapping[str, Any]] = {"renew": 1}
_NO_FAULT: Final = (
    "up",
    "preview",
    "refresh",
    "destroy",
    "change image",
    "export state",
    "stop run",
    "watch and extend",
)
# A changed recipe and new credentials start the same machine's container anew.
_ANOTHER_MACHINE: Final = {"rerun"}


@dataclass(frozen=True, kw_only=True)
class Act:
    """One thing that a user does, and what goes wrong with it."""

    command: Command
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])  # changed before it
    faults: tuple[Fault, ...] = ()
    strikes: tuple[Strike, ...] = ()
    backend: Literal["a", "b"] = "a"
    beside: Act | None = None  # started at the same time, by another engine
    other_account: bool = False  # with a good key of another account
    factor: float = 1.0  # of prices

    @property
    def another_machine(self) -> bool:
        """Whether what is asked for gives each run one more machine in its turn."""
        return self.command in ("destroy", "stop run") or bool(
            _ANOTHER_MACHINE & self.config.keys()
        )

    @property
    def faults_beside(self) -> int:
        """How much of it is a fault by itself, without any that is planted at a call."""
        of_itself = self.command not in _NO_FAULT
        return sum((of_itself, self.other_account, self.beside is not None, self.backend != "a"))

    def __str__(self) -> str:
        words = [self.command]
        if self.config:
            words.append("with " + ", ".join(self.config))
        if self.backend != "a":
            words.append(f"in backend {self.backend}")
        if self.other_account:
            words.append("with another account's key")
        if self.command == "move prices":
            words.append(f"x{self.factor:g}")
        planted = [*map(str, self.faults), *map(str, self.strikes)]
        if planted:
            words.append(f"({'; '.join(planted)})")
        if self.beside:
            words.append(f"beside {self.beside}")
        return " ".join(words)


Trouble = Literal["refused", "slow", "silent"]
"""Refused by its own check, or for its first steps; never answers."""


@dataclass(frozen=True, kw_only=True)
class Machines:
    """How the machines of a story are."""

    faulty: int = 0  # so many, the first ones, do not work
    how: Trouble = "refused"
    needs_s: float = 0.0  # what the run still takes, as its status says; 0: it says nothing


@dataclass(frozen=True, kw_only=True)
class Story:
    """The commands of a user up to the mending `up`, which every story has."""

    acts: tuple[Act, ...]
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    quirks: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of the vendor
    bucket_exists: bool = True
    machines: Machines = Machines()
    hours_at_end: int | None = None  # of the machine after mending; None: that is not asked

    @property
    def first_config(self) -> dict[str, Any]:
        """The config keys that it starts with: small, cheap, and bounded in time."""
        return {
            "recipeSettings": dict(TEST_SETTINGS),
            "durationHours": 1,
            "firstHours": 0,  # each request buys what is asked for
            "maxCostUsd": 6,  # of the run, its reruns and all that is lost included
            "readyTimeoutMinutes": 2,
            **self.config,
        }

    @property
    def backends(self) -> tuple[str, ...]:
        acts = [act for one in self.acts for act in (one, one.beside) if act]
        return tuple(sorted({"a", *(act.backend for act in acts)}))

    def __str__(self) -> str:
        return " | ".join(map(str, self.acts))
