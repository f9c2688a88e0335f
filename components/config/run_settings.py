"""One run's settings as a frozen value, and the hash that tells two trainings apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from components.config.keys import MODELS_APART
from container.contract.recipe import SettingValue, slowness


@dataclass(frozen=True, kw_only=True)
class TimedFor:
    """What a recipe's figures hold for: which GPU, and what they are on as many as the run has."""

    gpu: str
    hours: float = 0.0  # with the run's settings; 0 in a state of before they were counted
    memory_gb: float = 0.0  # that each GPU must have

    def times_as_long(self, gpu: str) -> float:
        """Return how many times as long the run takes on as many of another GPU."""
        return slowness(gpu) / slowness(self.gpu)


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """One training run, all defaults and overrides applied."""

    name: str
    in_sweep: bool  # declared under `runs`: what it overrides is its own
    recipe: str
    recipe_settings: Mapping[str, SettingValue]
    trained: Mapping[str, SettingValue]  # all settings of the recipe, with those above
    nanochat_commit: str
    gpu_type: str  # one model, or several with commas between them
    gpus_per_container: int
    locations: tuple[str, ...]
    duration_hours: int  # 0: as many as it needs on the machine that is found
    first_hours: int  # bought before the machine is checked; 0: it is not, and all are bought
    attempts: int  # how many machines may be tried
    max_cost_usd: Decimal
    max_usd_per_gpu_hour: Decimal  # 0: no such cap
    auto_extend: int  # hours that may be bought without being asked for
    device_batch_size: int
    keep_alive: bool
    wandb_run: str
    rerun: int
    renew: int
    timed_for: TimedFor

    @property
    def models(self) -> tuple[str, ...]:
        """The GPUs of which any one will do."""
        return models_of(self.gpu_type)

    @property
    def training_hash(self) -> str:
        """What makes two runs different trainings: 8 hex digits, part of the run prefix.

        A container refuses a prefix that another training has begun, so that what it compares must
        be in here: a changed default of the recipe too.
        """
        parts = (self.recipe, self.trained, self.nanochat_commit, self.gpus_per_container)
        return short_hash(parts)


def models_of(gpu_type: str) -> tuple[str, ...]:
    """Return the models that a text of one or several names."""
    return tuple(gpu_type.split(MODELS_APART))


def short_hash(value: Any) -> str:
    """Return the first 8 hex digits of the SHA-256 of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]
