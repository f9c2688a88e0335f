"""A machine that does not work, with the real engine: given back, remembered, and another taken.

Of the local cloud's two places for a CPU the first one's machines are bad; which one is first, the
quote tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.ledger import bad_places
from tests import ROOT
from tests.contract.caas_place import eventually
from tests.e2e.run_in_cloud import NewStack, Run, flat, mine, read
from tests.e2e.scratch_stack import Cloud, CommandFailedError, ScratchStack

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(600)]

LOCATIONS = {"US": "2", "FI": "5"}  # as the local cloud numbers them
FIRST_HOUR = r"It was given back, and cost \$0\.41; nothing bills\."


@pytest.fixture
def with_its_config() -> Iterator[Callable[[ScratchStack], None]]:
    """Let `runs` read a stack's config, which it looks for in the checkout; gone afterwards."""
    written: list[Path] = []

    def write(stack: ScratchStack) -> None:
        written.append(ROOT / stack.config_file.name)
        written[-1].write_bytes(stack.config_file.read_bytes())

    yield write
    for path in written:
        path.unlink(missing_ok=True)


def first_offer(stack: ScratchStack) -> str:
    """The country of the machine that is rented first."""
    quoted = stack.runs("quote", "--json")
    assert quoted.returncode == 0, quoted.stderr
    main = json.loads(quoted.stdout)["main"]
    country: str = main["candidates"][main["chosen"]]["place"]
    return country


def trains(run: Run) -> bool:
    """Whether the run trains, or has trained: in its test size that takes seconds."""
    found = run.status()
    return found is not None and ((found.step or 0) >= 1 or found.outcome == "succeeded")


@pytest.mark.parametrize(
    ("quirk", "reason", "config"),
    [
        (
            "never_starts_in",
            r"no heartbeat in 1 minutes \(last seen: .*\)",
            {"readyTimeoutMinutes": 1},
        ),
        (
            "little_disk_in",
            r"the machine is not what was ordered: disk \(0\.\d GiB free, .* needs 0\.5 GiB\)",
            {},
        ),
    ],
    ids=["it never comes up", "it is not what was ordered"],
)
def test_a_machine_that_does_not_work_costs_its_first_hour_and_the_next_offer_trains(
    new_stack: NewStack,
    cloud: Cloud,
    with_its_config: Callable[[ScratchStack], None],
    quirk: str,
    reason: str,
    config: dict[str, Any],
) -> None:
    stack = new_stack(durationHours=2, firstHours=1, maxCostUsd=9, **config)
    with_its_config(stack)
    country = first_offer(stack)

    with cloud.behaving(**{quirk: country}):
        with pytest.raises(CommandFailedError) as failed:
            stack.up()
        said = flat(str(failed.value))
        assert re.search(rf"does not work: {reason}\. {FIRST_HOUR}", said), said
        assert mine(cloud, stack) == []

        bucket = f"trainstack-{stack.name}"
        remembered = bad_places.from_json(read(cloud.operator_s3(), bucket, bad_places.KEY))
        assert [one.location for one in remembered] == [LOCATIONS[country]]

        again = stack.runs("again")
        assert again.returncode == 0, again.stdout + again.stderr
        stack.up()

    assert len(mine(cloud, stack)) == 1
    run = Run(stack, cloud)
    eventually(lambda: trains(run), within_s=240)
    assert stack.runs("again").returncode == 1
