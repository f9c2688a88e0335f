"""A few quick stories of the campaign through the engine; `make campaign-engine` plays them all.

`CAMPAIGN_SEED` draws the last one, and repeats it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from localcloud.place import Place
from tests import ROOT
from tests.campaign_engine import kinds
from tests.campaign_engine.campaign import Campaign, Told

pytestmark = [
    pytest.mark.docker,
    pytest.mark.engine,
    pytest.mark.campaign_engine,
    pytest.mark.timeout(1800),
]
# Each with the seed that makes a quick and telling story of it.
CHOSEN = (
    ("lost-deploy", 3),
    ("lost-token-made", 1),
    ("lost-delete", 1),
    ("held-deploy", 2),
    ("kill-in-replace", 2),
    ("another-accounts-key", 1),
    ("state-lost", 2),
)
DRAWN = int(os.environ["CAMPAIGN_SEED"])  # set by tests/conftest.py at the latest
_STORIES = [*CHOSEN, (kinds.of_seed(DRAWN).name, DRAWN)]


def _name(story: tuple[str, int]) -> str:
    return f"{story[0]}-{story[1]}"


Playing = dict[tuple[str, int], "Future[Told]"]


@pytest.fixture(scope="module")
def playing(
    local_place: Place, local_world: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Playing]:
    """Begin every story that is selected, some side by side; a test waits for its own."""
    folder = ROOT / ".local" / "tests" / "stories"
    campaign = Campaign(local_place, local_world, folder=folder, at_once=3)
    ours = [item for item in request.session.items if item.path == request.path]
    selected = [story for story in _STORIES if any(_name(story) in one.name for one in ours)]
    try:
        yield {(kind, seed): campaign.begin(seed, kinds.named(kind)) for kind, seed in selected}
    finally:
        campaign.end()


@pytest.mark.parametrize("story", _STORIES, ids=_name)
def test_whatever_goes_wrong_one_up_mends_it_and_destroy_leaves_nothing(
    playing: Playing, story: tuple[str, int]
) -> None:
    told = playing[story].result()
    if told.kind.skipped:
        pytest.skip(told.kind.skipped)
    assert not told.violations, "\n".join(told.lines())
