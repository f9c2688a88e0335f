"""`runs cost` as it is typed: a run named by word or option, and what the ledger adds up to."""

from __future__ import annotations

import dataclasses
import json

import pytest

from components.ledger.page import Page
from tests.runs_builders import status, verdict
from tests.unit.components.ledger.test_page import OWNER
from tests.unit.runs.typed import typed
from tests.unit.runs.view.test_ledger_sums import PAGES

PREFIX = "dev-main-0a1b2c3d-deadbeef"
OTHER = "dev-other-0a1b2c3d-deadbeef"
RUNS = {
    f"{prefix}/{key}": record.to_json()
    for prefix, run in ((PREFIX, "main"), (OTHER, "other"))
    for key, record in (("status.json", status(run=run)), ("verdict.json", verdict(run=run)))
}
NAMED = [("main",), (PREFIX,), ("--run", "main"), ("main", "--run", "main")]
OWN = Page(owner=dataclasses.replace(OWNER, run="other"), entries=PAGES[1].entries)
LEDGER = {page.owner.key: page.to_json() for page in (*PAGES, OWN)}


@pytest.mark.parametrize(
    "words", [("main",), (PREFIX,), ("--run", "main"), ("main", "--run", "main")]
)
def test_a_run_is_named_by_a_word_as_by_the_option(words: tuple[str, ...]) -> None:
    told = typed(RUNS, "cost", *words, "--bucket", "b", "--json")
    assert told.code == 0, told.err
    assert [one["prefix"] for one in json.loads(told.out)] == [PREFIX]


def test_two_names_that_differ_are_refused() -> None:
    refused = typed(RUNS, "cost", "main", "--run", "other", "--bucket", "b")
    assert refused.code == 2
    assert "--run takes one value" in refused.err


@pytest.mark.parametrize(
    ("words", "spent"),
    [
        (("--ledger",), "2.30"),
        (("--ledger", "main"), "1.30"),
        (("--ledger", "--run", "other"), "1.00"),
        (("--ledger", "--stack", "prod"), "1.00"),
        (("--month", "2026-11"), "2.10"),
        (("--month", "2026-12"), "0.20"),
        (("--month", "2026-12", "main", "--stack", "dev"), "0.20"),
        (("--month", "2025-01"), "0"),
    ],
)
def test_the_ledger_adds_up_to_a_run_a_stack_a_month_and_everything(
    words: tuple[str, ...], spent: str
) -> None:
    told = typed(LEDGER, "cost", *words, "--bucket", "b", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["spent_usd"] == spent
