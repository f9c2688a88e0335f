"""How a grace period is divided, and what a stop still leaves time for."""

from __future__ import annotations

import pytest

from container.contract.clock import Clock
from container.system.stop import StopBudget, StopRequest


# grace -> next step, SIGTERM, last lines, verdict
@pytest.mark.parametrize(
    ("grace_s", "parts"),
    [
        (5.0, (1.5, 1.0, 0.3, 3.0)),
        (3.0, (1.5, 1.0, 0.3, 3.0)),
        (10.0, (3.0, 1.25, 0.55, 3.5)),
        (20.0, (6.0, 1.75, 1.05, 4.5)),
        (60.0, (18.0, 3.0, 2.0, 8.5)),
        (600.0, (180.0, 3.0, 2.0, 10.0)),
    ],
)
def test_a_longer_grace_waits_longer_for_the_running_step(
    grace_s: float, parts: tuple[float, ...]
) -> None:
    budget = StopBudget.of(grace_s)
    divided = (budget.next_step_s, budget.terminate_s, budget.drain_s, budget.verdict_s)
    assert divided == pytest.approx(parts)


@pytest.mark.parametrize("grace_s", [10.0, 30.0, 60.0, 600.0])
def test_a_stage_that_takes_all_of_its_time_leaves_the_verdict_all_of_its_own(
    grace_s: float,
) -> None:
    budget = StopBudget.of(grace_s)
    stage_s = budget.next_step_s + budget.terminate_s + budget.drain_s
    assert stage_s + budget.verdict_s < grace_s


class Standing(Clock):
    """A clock that is moved by hand."""

    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


def test_the_verdict_is_due_before_it_is_too_late_and_neither_without_a_stop() -> None:
    clock = Standing()
    stop = StopRequest(budget=StopBudget.of(60.0), clock=clock)
    clock.seconds += 1000
    assert not stop.verdict_is_due()
    assert not stop.too_late()
    stop.make()
    seen: list[tuple[bool, bool]] = []
    for passed_s in (51.0, 1.0, 7.0, 1.0):
        clock.seconds += passed_s
        seen.append((stop.verdict_is_due(), stop.too_late()))
    assert seen == [(False, False), (True, False), (True, False), (True, True)]


def test_asking_twice_does_not_begin_the_grace_anew() -> None:
    clock = Standing()
    stop = StopRequest(budget=StopBudget.of(5.0), clock=clock)
    stop.make()
    clock.seconds += 5
    stop.make()
    assert stop.too_late()
