"""Which cases a session plays, and where; see `make campaign`.

`CAMPAIGN` is unset in a plain `pytest`, which plays a small sample; "all", or names with commas.
`CAMPAIGN_SEED` repeats a sample, and which requests a fault hits.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.place import Place
from tests.campaign.cloud import Cloud, image_in_registry
from tests.campaign.pool import Campaign, Case, Row, table
from tests.conftest import ROOT

HERE = Path(__file__).parent
SAMPLED_KILLS = 2
SEED = int(os.environ["CAMPAIGN_SEED"])  # set by tests/conftest.py at the latest
_rows: list[Row] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this session does not play."""
    ours = [item for item in items if HERE in item.path.parents and _case(item)]
    wanted = os.environ.get("CAMPAIGN", "")
    if wanted == "all":
        return
    names = wanted.split(",") if wanted else _sample(ours)
    out = [item for item in ours if str(_case(item)) not in names]
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=out)


def pytest_report_collectionfinish(items: list[pytest.Item]) -> str:
    """Say what a sample holds, so that it can be repeated."""
    names = [str(_case(item)) for item in items if _case(item)]
    return f"campaign: CAMPAIGN_SEED={SEED}, {len(names)} cases: {', '.join(names)}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was played."""
    if _rows:
        terminalreporter.section("campaign")
        for line in table(_rows):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def campaign(local_place: Place, request: pytest.FixtureRequest) -> Iterator[Campaign]:
    cases = [case for item in request.session.items if (case := _case(item))]
    with image_in_registry(local_place) as image:
        logs = ROOT / ".local" / "campaign" / "logs"
        cloud = Cloud(local_place, image)
        cloud.sweep()
        patient = bool(os.environ.get("CAMPAIGN"))
        one = Campaign(cloud, seed=SEED, logs=logs, patient=patient, rows=_rows)
        one.begin(cases)
        try:
            yield one
        finally:
            one.end()


def _sample(items: list[pytest.Item]) -> list[str]:
    chance = random.Random(SEED)  # noqa: S311  # which kills are played
    kills = [str(_case(item)) for item in items if item.path.name == "test_kills.py"]
    quick = [case.name for item in items if (case := _case(item)) and case.quick]
    return chance.sample(sorted(kills), min(SAMPLED_KILLS, len(kills))) + quick


def _case(item: pytest.Item) -> Case | None:
    params = getattr(getattr(item, "callspec", None), "params", {})
    found = params.get("case")
    return found if isinstance(found, Case) else None
