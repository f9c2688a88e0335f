"""Which tokens of runs may be revoked: none for which anything speaks, or might."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from components.ionet import run_tokens
from components.r2.cloudflare import Token
from runs.tokens import Evidence, judged, why_kept
from tests.unit.runs.rental_builders import IDENTITY, NAME, NOW, rental

TOKEN = Token(
    id="b" * 32,
    name=f"trainstack-dev-main-{IDENTITY}",
    issued_on=NOW - timedelta(days=1),
    buckets=("my-runs",),
)
NOTHING = Evidence(
    now=NOW, bucket="my-runs", names=(), rentals=(), beats={}, known=frozenset({"another"})
)


def test_a_token_for_which_nothing_speaks_may_be_revoked() -> None:
    assert why_kept(TOKEN, NOTHING) == ""
    assert judged(TOKEN, NOTHING).age == timedelta(days=1)
    renewed = dataclasses.replace(TOKEN, name=f"{TOKEN.name}-2")
    assert (why_kept(renewed, NOTHING), judged(renewed, NOTHING).identity) == ("", IDENTITY)


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ({"names": (NAME,)}, "live machine"),
        ({"names": (NAME.replace(IDENTITY, "ffffffff"),)}, ""),
        ({"known": frozenset({TOKEN.id})}, "state knows it"),
        ({"known": frozenset({IDENTITY})}, "state knows it"),
        ({"known": None}, ""),
        ({"rentals": (rental("d-1"),)}, "open in the ledger"),
        ({"rentals": (rental(),)}, "open in the ledger"),
        ({"rentals": (rental("d-1", identity="ffffffff"),)}, ""),
        ({"rentals": (rental("d-1", shown="ended"),)}, ""),
        ({"rentals": (rental("d-1", state="given back"), rental(state="lost"))}, ""),
        ({"beats": {IDENTITY: "running"}}, "signs of life"),
        ({"beats": {IDENTITY: "quiet"}}, "signs of life"),
        ({"beats": {IDENTITY: "unreadable"}}, "cannot be read"),
        ({"beats": {IDENTITY: "gone", "ffffffff": "running"}}, ""),
        ({"now": NOW - timedelta(seconds=1)}, "younger than a day"),
        ({"bucket": ""}, "could not be asked"),
        ({"bucket": "another"}, "its bucket was not asked: my-runs"),
    ],
)
def test_what_speaks_for_a_token_keeps_it(evidence: dict[str, Any], why: str) -> None:
    told = why_kept(TOKEN, dataclasses.replace(NOTHING, **evidence))
    assert (told == "") if not why else (why in told)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"issued_on": None}, "age is not known"),
        ({"buckets": ()}, "not told"),
        ({"buckets": ("my-runs", "another")}, "another"),
        ({"name": "trainstack-operator"}, "no run's"),
    ],
)
def test_what_is_not_known_of_a_token_keeps_it(members: dict[str, Any], why: str) -> None:
    assert why in why_kept(dataclasses.replace(TOKEN, **members), NOTHING)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("trainstack-dev-main-0a1b2c3d", "0a1b2c3d"),
        ("trainstack-dev-two-words-0a1b2c3d-12", "0a1b2c3d"),
        ("trainstack-dev-main-0a1b2c3d-x", ""),
        ("trainstack-dev-main-0A1B2C3D", ""),
        ("trainstack-0a1b2c3d", ""),
        ("another-dev-main-0a1b2c3d", ""),
        ("trainstack-operator", ""),
    ],
)
def test_a_name_tells_whether_a_token_is_a_runs(name: str, identity: str) -> None:
    assert run_tokens.identity_of(name) == identity
