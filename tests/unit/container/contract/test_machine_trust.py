"""Whether a machine is worth its further hours: from its status, and from its first steps."""

from __future__ import annotations

from typing import Any

import pytest

from container.contract.machine_trust import Kind, MachineState, judged, speed
from container.contract.recipe import apply_settings, load_recipe

STATUSES: list[tuple[dict[str, Any] | None, bool, Kind]] = [
    ({"machine": "passed", "stage": "base"}, False, "good"),
    ({"machine": "refused", "stage": "base"}, False, "refused"),
    ({"machine": "", "stage": "verify"}, False, "wait"),
    ({"machine": "", "stage": "verify"}, True, "refused"),
    ({"machine": "checking", "stage": "data"}, False, "wait"),
    ({"machine": "checking", "stage": "data"}, True, "good"),
    ({"machine": "refused", "stage": "base"}, True, "refused"),
    ({"stage": "base"}, False, "wait"),  # of an image that does not tell
    ({"stage": "base"}, True, "good"),
    ({"machine": "passed", "outcome": "failed"}, False, "ended"),
    ({"machine": "checking", "outcome": "succeeded"}, True, "ended"),
    (None, False, "wait"),
    (None, True, "refused"),
]


@pytest.mark.parametrize(("status", "is_due", "kind"), STATUSES)
def test_what_a_status_says_of_its_machine(
    status: dict[str, Any] | None, is_due: bool, kind: Kind
) -> None:
    found = judged(status, is_due=is_due)
    assert found.kind == kind
    assert found.why


def steps(each_s: float, *, count: int = 16, first_s: float = 90.0) -> list[tuple[float, int]]:
    """Return when steps were told: the first one compiles."""
    return [(first_s + n * each_s, n) for n in range(count)]


@pytest.mark.parametrize(
    ("told", "expected_s", "state"),
    [
        (steps(1.0), 1.0, "passed"),
        (steps(1.2), 1.0, "passed"),
        (steps(1.9), 1.0, "passed"),
        (steps(2.1), 1.0, "refused"),
        (steps(9.0), 1.0, "refused"),
        (steps(9.0, count=15), 1.0, "checking"),
        ([], 1.0, "checking"),
        # Four steps compile or load, which tells nothing.
        ([(n * 60.0, n) for n in range(4)] + steps(1.0, first_s=240.0), 1.0, "passed"),
        # An evaluation among them is not the pace.
        (steps(1.0, count=10) + [(400.0 + n, 10 + n) for n in range(8)], 1.0, "passed"),
        # As after a checkpoint, from which the run goes on.
        ([(at, n + 1000) for at, n in steps(3.0)], 1.0, "refused"),
    ],
)
def test_the_first_steps_are_held_against_the_recipes_speed(
    told: list[tuple[float, int]], expected_s: float, state: MachineState
) -> None:
    assert speed(told, expected_step_s=expected_s)[0] == state


@pytest.mark.parametrize(
    ("recipe", "settings", "gpu", "gpus", "hours"),
    [
        ("nanochat-d20", {}, "H100 SXM", 8, 0.9),
        ("nanochat-d20", {}, "H100 PCIe", 8, 0.9 * 1.6),
        ("nanochat-d20", {}, "H100 SXM", 4, 1.8),
        ("nanochat-d20", {"target_param_data_ratio": 16.0}, "H100 SXM", 8, 1.2),
        ("nanochat-trial", {}, "H100 SXM", 1, 0),  # its minutes are no training
        ("nanochat-cpu", {}, "CPU", 1, 0),
        ("rehearsal", {}, "CPU", 1, 0),
    ],
)
def test_how_long_base_training_takes_where_it_is_known(
    recipe: str, settings: dict[str, Any], gpu: str, gpus: int, hours: float
) -> None:
    asked = apply_settings(load_recipe(recipe), settings)
    seconds = asked.base_seconds(gpu_type=gpu, gpus=gpus)
    assert seconds / 3600 == pytest.approx(hours)
