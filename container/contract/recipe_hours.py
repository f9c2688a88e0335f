"""How long a run takes with its settings, from the hours that its recipe is timed for; pure.

Training takes parameters x tokens, an evaluation parameters x examples; the rest (data, compiling)
takes what it takes. So the recipes of 20 to 32 layers, each timed for itself, give one another's
hours within a fifth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SettingValue = int | float | str | bool

EPOCH_TOKENS: Final = 600_000_000
"""Of midtraining and of SFT, whose mixtures are alike: an estimate, a tenth of a run of d20."""

LENGTH_SETTINGS: Final = frozenset(
    {
        "depth",
        "vocab_size",
        "target_param_data_ratio",
        "num_iterations",
        "total_batch_size",
        "mid_iterations",
        "sft_iterations",
        "eval_problems",
        "core_max_per_task",
    }
)
"""Settings that change how long a run takes."""

_EVALUATIONS: Final[Mapping[str, tuple[int, float]]] = {
    "eval_problems": (2000, 0.08),
    "core_max_per_task": (2000, 0.08),
}
"""How many examples are about all, and how many hours eight H100 take over them with 20 layers:
estimates, from how much more than at 24 layers the rest takes at 32."""

LEAST_TIMED_HOURS: Final = 0.1
"""What takes less tells nothing of a step: compiling and the first data are most of it."""

BASE: Final = "base"
MOST_DONE: Final = 0.9  # of a run, with base training: something is always left

_REFERENCE_DEPTH: Final = 12  # nanochat computes its steps' size from that model's


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What of a recipe's hours is base training, and what its programs make of its settings."""

    base_hours: float
    width: int = 64  # of the model, a layer
    head: int = 128  # the width is a multiple of it
    vocabularies: int = 1  # matrices of the vocabulary that tokens per parameter count
    sft_batch_tokens: int = 0  # of one of the setting's iterations; 0: those of a step


def hours(
    timing: Timing,
    *,
    timed: Mapping[str, SettingValue],
    values: Mapping[str, SettingValue],
    expected_hours: float,
    gpus: int,
) -> float:
    """Return how long it takes with `values`, where it takes `expected_hours` with `timed`.

    Both on the `gpus` that the recipe is timed for.
    """
    per_work = timing.base_hours / (_parameters(timing, timed) * _base_tokens(timing, timed))
    trained = (_work(timing, values) - _work(timing, timed)) * per_work
    asked = (_evaluated(timing, values) - _evaluated(timing, timed)) * 8 / max(gpus, 1)
    shortest = (expected_hours - timing.base_hours) / 2
    return max(expected_hours + trained + asked, shortest)


def base_hours(
    timing: Timing, *, timed: Mapping[str, SettingValue], values: Mapping[str, SettingValue]
) -> float:
    """Return how long base training takes with `values`; 0 where too little of it was timed."""
    if timing.base_hours < LEAST_TIMED_HOURS:
        return 0.0
    per_work = timing.base_hours / (_parameters(timing, timed) * _base_tokens(timing, timed))
    return per_work * _parameters(timing, values) * _base_tokens(timing, values)


def share_left(
    timing: Timing,
    *,
    timed: Mapping[str, SettingValue],
    values: Mapping[str, SettingValue],
    whole_hours: float,
    stage: str,
    step: int,
) -> float:
    """Return the share of `whole_hours` that is left after a checkpoint of base training, or later.

    Of base training alone: what else is done by then (data, tokenizer) is small, and the stages
    after it have no figures of their own. 1 where too little of base training was timed.
    """
    base = base_hours(timing, timed=timed, values=values)
    steps = _base_tokens(timing, values) / _step_tokens(timing, values)
    done = min(step / max(steps, 1.0), 1.0) if stage == BASE else 1.0
    return 1.0 - done * min(base / whole_hours, MOST_DONE) if whole_hours > 0 else 1.0


def _work(timing: Timing, values: Mapping[str, SettingValue]) -> float:
    step = _step_tokens(timing, values)
    mid = _tokens(values, "mid_iterations", each=step)
    sft = _tokens(values, "sft_iterations", each=timing.sft_batch_tokens or step)
    return _parameters(timing, values) * (_base_tokens(timing, values) + mid + sft)


def _base_tokens(timing: Timing, values: Mapping[str, SettingValue]) -> float:
    steps = _number(values, "num_iterations", -1)
    if steps > 0:
        return steps * _step_tokens(timing, values)
    ratio = _number(values, "target_param_data_ratio", 12)
    return ratio * _parameters(timing, values, vocabularies=timing.vocabularies)


def _tokens(values: Mapping[str, SettingValue], key: str, *, each: float) -> float:
    if key not in values:
        return 0.0
    iterations = _number(values, key, -1)
    return iterations * each if iterations >= 0 else EPOCH_TOKENS


def _step_tokens(timing: Timing, values: Mapping[str, SettingValue]) -> float:
    given = _number(values, "total_batch_size", -1)
    if given > 0:
        return given
    of_reference = _parameters(timing, {**values, "depth": _REFERENCE_DEPTH})
    larger = max(_parameters(timing, values) / of_reference, 1e-9)
    return 2.0 ** round(19 + 0.383 * math.log2(larger))


def _evaluated(timing: Timing, values: Mapping[str, SettingValue]) -> float:
    """Return the hours of the evaluations on eight GPUs."""
    of_d20 = _parameters(Timing(base_hours=0), {"depth": 20, "vocab_size": 32768})
    shares = (
        (min(number, every) if (number := _number(values, key, -1)) >= 0 else every) / every * h
        for key, (every, h) in _EVALUATIONS.items()
        if key in values
    )
    return sum(shares) * _parameters(timing, values) / of_d20


def _parameters(
    timing: Timing, values: Mapping[str, SettingValue], *, vocabularies: int = 1
) -> float:
    """Return the parameters that a token is multiplied with: the layers' and the vocabulary's."""
    depth = _number(values, "depth", 1)
    width = math.ceil(depth * timing.width / timing.head) * timing.head
    return 12 * depth * width**2 + vocabularies * _number(values, "vocab_size", 0) * width


def _number(values: Mapping[str, SettingValue], key: str, default: float) -> float:
    value = values.get(key, default)
    return float(value) if isinstance(value, int | float) else default
