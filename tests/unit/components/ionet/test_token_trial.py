"""Whether the operator's token can make a run's: tried with one that lives for a minute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from components.ionet import run_tokens
from components.ionet.run_tokens import Trial
from components.r2.cloudflare import Client
from components.r2.permissions import bucket_resources
from tests.unit.components.vendor_double import Vendor

NOW = datetime(2026, 11, 28, tzinfo=UTC)
MADE = (200, {"result": {"id": "t1", "value": "v"}})
REFUSED = (403, {"errors": [{"code": 9109, "message": "Unauthorized"}]})
ACTIVE = (200, {"result": {"id": "me", "status": "active"}})
GONE = (404, {"errors": []})
LOST = (502, {})
NONE_LISTED = (200, {"result": []})


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor()
    yield vendor
    vendor.stop()


def own(*names: str) -> tuple[int, Any]:
    groups = [{"id": "x", "name": name} for name in names]
    return 200, {"result": {"policies": [{"effect": "allow", "permission_groups": groups}]}}


ITEM, R2, TOKENS = (
    "Workers R2 Storage Bucket Item Write",
    "Workers R2 Storage Write",
    "Account API Tokens Write",
)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([MADE, (200, {"result": {"id": "t1"}})], Trial(outcome="made")),
        ([MADE, GONE], Trial(outcome="made")),
        ([MADE, LOST], Trial(outcome="made", left="NAME")),
        ([REFUSED, ACTIVE, own(R2)], Trial(outcome="refused", lacks=(TOKENS,))),
        ([REFUSED, ACTIVE, own(TOKENS)], Trial(outcome="refused", lacks=(ITEM,))),
        ([REFUSED, ACTIVE, own()], Trial(outcome="refused", lacks=(TOKENS, ITEM))),
        ([REFUSED, ACTIVE, own(TOKENS, R2)], Trial(outcome="refused", lacks=(ITEM,))),
        ([REFUSED, ACTIVE, own(TOKENS, ITEM)], Trial(outcome="refused")),
        ([REFUSED, ACTIVE, REFUSED], Trial(outcome="refused", lacks=(TOKENS,))),
        ([REFUSED, REFUSED, ACTIVE, GONE], Trial(outcome="refused", is_a_users=True)),
        ([REFUSED, ACTIVE, LOST], Trial(outcome="refused")),
        ([LOST, NONE_LISTED], Trial(outcome="unknown")),
        ([LOST, LOST], Trial(outcome="unknown", left="NAME")),
    ],
)
def test_a_trial_ends_with_what_is_lacking_and_what_was_left(
    vendor: Vendor, answers: list[tuple[int, Any]], expected: Trial
) -> None:
    for status, answer in answers:
        vendor.will(status, answer)
    client = Client("planted", account_id="a" * 32, base_url=vendor.url, retry_for_s=0)
    resources = bucket_resources("a" * 32, jurisdiction="default", bucket="b")
    trial = run_tokens.try_out(client, resources=resources, now=NOW)
    assert (trial.outcome, trial.lacks, trial.is_a_users) == (
        expected.outcome,
        expected.lacks,
        expected.is_a_users,
    )
    assert bool(trial.left) is bool(expected.left)
    assert not trial.left or run_tokens.identity_of(trial.left)  # `runs reap` knows it as a run's
    assert "planted" not in trial.why
    assert bool(trial.why) is (trial.outcome != "made")


def test_a_token_of_a_trial_lives_for_a_minute_should_it_be_left(vendor: Vendor) -> None:
    vendor.will(*MADE)
    vendor.will(*GONE)
    client = Client("planted", account_id="a" * 32, base_url=vendor.url, retry_for_s=0)
    resources = bucket_resources("a" * 32, jurisdiction="default", bucket="b")
    run_tokens.try_out(client, resources=resources, now=NOW)
    assert json.loads(vendor.bodies[0])["expires_on"] == "2026-11-28T00:01:00Z"


def test_a_token_whose_making_got_no_answer_is_looked_for_and_revoked(vendor: Vendor) -> None:
    name = "trainstack-doctor-00000000"
    vendor.will(*LOST)
    vendor.will(200, {"result": [{"id": "t1", "name": name}]})
    vendor.will(200, {"result": {}})
    client = Client("planted", account_id="a" * 32, base_url=vendor.url, retry_for_s=0)
    resources = bucket_resources("a" * 32, jurisdiction="default", bucket="b")
    trial = run_tokens.try_out(client, resources=resources, now=NOW)
    assert (trial.outcome, trial.left) == ("unknown", "")
