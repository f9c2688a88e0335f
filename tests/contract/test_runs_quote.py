"""`runs quote` as it is typed, against io.net's stand-in: a stack's config and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from components.ledger.page import Page
from tests.contract.caas_place import API_KEY, CaasPlace
from tests.unit.components.ledger.test_page import OWNER, entry
from tests.unit.runs.pulumi_double import PulumiDouble
from tests.unit.runs.typed import Ended, typed

CONFIG = {"trainstack:cloud": "local", "trainstack:recipe": "nanochat-d20"}


@pytest.fixture
def stacks(tmp_path: Path) -> PulumiDouble:
    return PulumiDouble(tmp_path)


def quoted(
    stacks: PulumiDouble,
    caas: CaasPlace,
    *words: str,
    objects: Mapping[str, bytes] | None = None,
    stack: Sequence[str] = ("--stack", "dev"),
    **config: str,
) -> Ended:
    stacks.stack("dev", config={**CONFIG, **{f"trainstack:{k}": v for k, v in config.items()}})
    environ = {
        "PATH": stacks.path,
        "TRAINSTACK_LOCAL_CLOUD": "/somewhere/.local",
        "IONET_BASE_URL": caas.url,
        "IOCLOUD_API_KEY": API_KEY,
        "CLOUDFLARE_BASE_URL": "http://127.0.0.1:9/client/v4",
    }
    return typed(objects or {}, "quote", *stack, *words, environ=environ)


def test_a_stack_that_was_never_up_is_quoted(stacks: PulumiDouble, caas: CaasPlace) -> None:
    ended = quoted(stacks, caas)
    assert ended.code == 0, ended.err
    assert "main: rents 8 x H100 PCIe in FR at $11.92/h x 4 h = $47.68 + 2.25 % fees" in ended.out
    assert "recipe needs about 2.9 h here; buys 4 h" in ended.out
    assert max(len(line) for line in ended.out.splitlines() if "rents" not in line) <= 80


def test_a_quote_for_machines_is_json_run_by_run(stacks: PulumiDouble, caas: CaasPlace) -> None:
    runs = json.dumps({"fast": {"gpuType": ["H100 SXM"]}, "wide": {}})
    ended = quoted(stacks, caas, "--json", runs=runs, gpuType='["H100 PCIe", "H100 SXM"]')
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert list(found) == ["fast", "wide"]
    chosen = found["fast"]["candidates"][found["fast"]["chosen"]]
    assert (chosen["place"], chosen["hours"]) == ("US", 3)
    assert any("PCIe" in one["machine"] for one in found["wide"]["candidates"])


def test_a_run_without_an_offer_exits_1_and_says_why(stacks: PulumiDouble, caas: CaasPlace) -> None:
    ended = quoted(stacks, caas, maxCostUsd="30")
    assert ended.code == 1
    assert "above maxCostUsd" in ended.out
    assert "At this price 2 of the 4 h fit under it." in ended.err
    as_json = quoted(stacks, caas, "--json", gpuType="B200", recipeSettings="{window_pattern: L}")
    assert as_json.code == 2
    settings = '{"window_pattern": "L"}'
    none = quoted(stacks, caas, "--json", gpuType="B200", recipeSettings=settings)
    assert none.code == 1
    assert "no offer for 8 x B200" in json.loads(none.out)["main"]["refusal"]


def test_what_a_run_has_cost_counts_where_stack_and_bucket_tell_it_and_is_said_where_not(
    stacks: PulumiDouble, caas: CaasPlace
) -> None:
    spent = entry(state="given back", deployment_id="d1", usd=Decimal("110.00"))
    ledger = {OWNER.key: Page(owner=OWNER, entries=(spent,)).to_json()}
    here = {"bucket": "runs", "cloudflareAccountId": "0" * 32}
    told = quoted(stacks, caas, objects=ledger, **here)
    assert (told.code, "above maxCostUsd" in told.out) == (1, True), told.err
    assert "after $110.00 that this run cost so far" in told.err
    raised = quoted(stacks, caas, "--json", objects=ledger, maxCostUsd="160", **here)
    assert json.loads(raised.out)["main"]["spent_usd"] == "110.00"
    without = quoted(stacks, caas)
    assert (without.code, "what the runs have cost so far is not counted" in without.err) == (
        0,
        True,
    )
    stacks.select("dev")
    unnamed = quoted(stacks, caas, objects=ledger, stack=(), **here)
    assert "Name it: --stack" in unnamed.err
