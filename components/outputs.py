"""The stack outputs of the runs: plain values for one run, a value a run for several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pulumi import Output

from components.training_run import TrainingRun

RUN_OUTPUTS = (
    "deployment_id",
    "r2_prefix",
    "status_url",
    "estimated_cost_usd",
    "access_token",
)


def of(runs: Sequence[TrainingRun], *, names: Sequence[str]) -> dict[str, Any]:
    """Return what is exported for these runs, by output name."""
    if len(runs) == 1:
        return {key: _value(runs[0], key) for key in RUN_OUTPUTS}
    return {
        key: {name: _value(run, key) for name, run in zip(names, runs, strict=True)}
        for key in RUN_OUTPUTS
    }


def _value(run: TrainingRun, key: str) -> Any:
    value: Any = getattr(run, key)
    return Output.secret(value) if key == "access_token" else value
