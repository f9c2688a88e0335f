"""The stack outputs of the runs: plain values for one run, a value a run for several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pulumi import Output

from components.training_run import TrainingRun

RUN_OUTPUTS: Final[Mapping[str, Callable[[TrainingRun], Output[Any]]]] = {
    "deployment_id": lambda run: run.deployment_id,
    "r2_prefix": lambda run: run.r2_prefix,
    "status_url": lambda run: run.status_url,
    "estimated_cost_usd": lambda run: run.estimated_cost_usd,
    "access_token": lambda run: Output.secret(run.access_token),
}

Exported = Output[Any] | dict[str, Output[Any]]


def of(runs: Sequence[TrainingRun], *, names: Sequence[str]) -> dict[str, Exported]:
    """Return what is exported for these runs, by output name."""
    if len(runs) == 1:
        return {key: value_of(runs[0]) for key, value_of in RUN_OUTPUTS.items()}
    return {
        key: {name: value_of(run) for name, run in zip(names, runs, strict=True)}
        for key, value_of in RUN_OUTPUTS.items()
    }
