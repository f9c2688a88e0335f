"""What a changed program means for a machine that is rented."""

from __future__ import annotations

from typing import Any

import pytest

from components.ionet.change import CREDENTIAL_KEYS, REPLACE_KEYS, decide
from components.ionet.properties import UNKNOWN

RENTED: dict[str, Any] = {
    "bucket": "b",
    "entrypoint": ["/bin/bash", "/app/x"],
    "env": {"RECIPE": "rehearsal", "KEEP_ALIVE": "true"},
    "gpuType": "H100",
    "gpusPerContainer": 8,
    "identity": "1a2b3c4d",
    "image": "r/i@sha256:1",
    "locations": ["FI"],
    "r2Endpoint": "https://x",
    "r2Prefix": "p",
    "run": "main",
    "trafficPort": 8000,
    "durationHours": 5,
    "maxCostUsd": 150,
    "accessKeyId": "a",
    "secretAccessKey": "s",
    "wandbApiKey": "w",
    "accessToken": "t",
    "offer": "{}",
    "registrySecret": "r",
    "privateName": "n",
}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "keep"),
        ({"maxCostUsd": 10}, "keep"),
        ({"offer": "another"}, "keep"),
        ({"registrySecret": "rotated"}, "keep"),
        ({"privateName": "follows the others"}, "keep"),
        ({"durationHours": 6}, "extend"),
        ({"durationHours": 4}, "refuse"),
        ({"image": "r/i@sha256:2"}, "replace"),
        ({"image": UNKNOWN}, "replace"),
        ({"env": {"RECIPE": "rehearsal", "KEEP_ALIVE": "false"}}, "replace"),
        ({"gpusPerContainer": 4}, "replace"),
        ({"gpuType": "A100"}, "replace"),
        ({"locations": []}, "replace"),
        ({"identity": "ffffffff"}, "replace"),
        ({"secretAccessKey": "new"}, "refuse"),
        ({"secretAccessKey": UNKNOWN}, "refuse"),
        ({"accessToken": "new"}, "refuse"),
        ({"wandbApiKey": "new"}, "refuse"),
        ({"image": "r/i@sha256:2", "secretAccessKey": "new"}, "replace"),
        ({"image": "r/i@sha256:2", "durationHours": 4}, "replace"),
        ({"secretAccessKey": "new", "durationHours": 6}, "refuse"),
    ],
)
def test_each_change_has_one_meaning(change: dict[str, Any], kind: str) -> None:
    assert decide(RENTED, {**RENTED, **change}).kind == kind


@pytest.mark.parametrize("key", REPLACE_KEYS)
def test_each_replacing_key_replaces(key: str) -> None:
    found = decide(RENTED, {**RENTED, key: "another"})
    assert (found.kind, found.keys) == ("replace", (key,))


@pytest.mark.parametrize("key", CREDENTIAL_KEYS)
def test_each_credential_is_refused_with_a_remedy(key: str) -> None:
    found = decide(RENTED, {**RENTED, key: "another"})
    assert (found.kind, found.keys) == ("refuse", (key,))
    assert "raise trainstack:rerun" in found.remedy


@pytest.mark.parametrize("empty", [None, "", [], {}])
def test_what_is_empty_equals_what_is_missing(empty: object) -> None:
    without = {key: value for key, value in RENTED.items() if key != "wandbApiKey"}
    assert decide(without, {**without, "wandbApiKey": empty}).kind == "keep"


def test_a_changed_variable_is_named() -> None:
    found = decide(RENTED, {**RENTED, "env": {"RECIPE": "other", "KEEP_ALIVE": "true"}})
    assert found.names == ("RECIPE",)


def test_only_another_identity_is_another_run() -> None:
    assert decide(RENTED, {**RENTED, "identity": UNKNOWN}).is_another_run
    assert not decide(RENTED, {**RENTED, "image": UNKNOWN}).is_another_run


@pytest.mark.parametrize(
    ("locations", "kind"),
    [
        (["FI", "US"], "keep"),
        ([], "keep"),
        (None, "keep"),
        (["FI"], "keep"),
        (["US"], "replace"),
    ],
)
def test_other_locations_keep_a_machine_that_stands_in_one_of_them(
    locations: list[str] | None, kind: str
) -> None:
    assert decide(RENTED, {**RENTED, "locations": locations}, country="FI").kind == kind


def test_other_locations_hide_no_other_change() -> None:
    wider = {**RENTED, "locations": ["FI", "US"], "image": "r/i@sha256:2"}
    assert decide(RENTED, wider, country="FI").keys == ("image",)
