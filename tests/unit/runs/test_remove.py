"""What `runs rm` deletes: all of one run's prefix, and nothing of the ledger."""

from __future__ import annotations

import pytest

from components.ledger.page import Page
from runs import remove
from tests.runs_builders import status, verdict
from tests.unit.components.ledger.test_page import OWNER, entry
from tests.unit.runs.in_memory_bucket import InMemoryBucket
from tests.unit.runs.typed import typed

PREFIX = "dev-main-0a1b2c3d-deadbeef"
PAGE = Page(owner=OWNER, entries=(entry(state="given back", deployment_id="d1"),)).to_json()
OBJECTS = {
    f"{PREFIX}/status.json": status().to_json(),
    f"{PREFIX}/verdict.json": verdict().to_json(),
    f"{PREFIX}/ledger/page.json": b"a run's own folder of that name",
    OWNER.key: PAGE,
}


def test_what_a_run_cost_stays_in_the_ledger_when_the_run_is_removed() -> None:
    bucket = InMemoryBucket(OBJECTS)
    place = bucket.opened()
    remove.remove(place, remove.remains(place, PREFIX), progress=lambda _: None)
    assert bucket.objects == {OWNER.key: PAGE}


@pytest.mark.parametrize("named", ["ledger", OWNER.key, "ledger/trainstack/dev"])
def test_the_ledger_itself_is_no_run_that_could_be_removed(named: str) -> None:
    refused = typed(OBJECTS, "rm", "--bucket", "b", "--prefix", named, "--yes", "--force")
    assert refused.code == 2, refused.out + refused.err
    assert "is the ledger of rentals, no run" in refused.err
