"""What a changed program means for a machine that is rented."""

from __future__ import annotations

from typing import Any

import pytest

from components.ionet.change import (
    HANDED_KEYS,
    NAME_KEYS,
    NEXT_RENTAL_KEYS,
    REPLACE_KEYS,
    TOKEN_KEYS,
    TRAINED_KEYS,
    decide,
    rental_hash,
)
from components.ionet.properties import UNKNOWN
from container.contract.gpu_name import GpuName

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
        ({"image": "r/i@sha256:2"}, "keep"),
        ({"image": UNKNOWN}, "keep"),
        ({"entrypoint": ["/bin/sh"], "trafficPort": 9000}, "keep"),
        ({"env": UNKNOWN}, "restart"),
        ({"env": {"RECIPE": UNKNOWN, "KEEP_ALIVE": "true"}}, "restart"),
        ({"env": {"RECIPE": "rehearsal", "KEEP_ALIVE": "false"}}, "restart"),
        ({"gpusPerContainer": 4}, "replace"),
        ({"gpuType": "A100"}, "replace"),
        ({"locations": []}, "replace"),
        ({"identity": "ffffffff"}, "replace"),
        ({"secretAccessKey": "new"}, "restart"),
        ({"secretAccessKey": UNKNOWN}, "restart"),
        ({"renew": 1}, "restart"),
        ({"renew": 0}, "keep"),
        ({"renew": 1, "accessKeyId": "b", "secretAccessKey": "t", "wandbApiKey": "v"}, "restart"),
        ({"accessToken": "new"}, "restart"),
        ({"wandbApiKey": "new"}, "restart"),
        ({"image": "r/i@sha256:2", "secretAccessKey": "new"}, "restart"),
        ({"image": "r/i@sha256:2", "durationHours": 6}, "extend"),
        ({"gpuType": "A100", "secretAccessKey": "new"}, "replace"),
        ({"gpuType": "A100", "durationHours": 4}, "replace"),
        ({"secretAccessKey": "new", "durationHours": 6}, "restart"),
        ({"secretAccessKey": "new", "durationHours": 4}, "refuse"),
        ({"wandbApiKey": "new", "durationHours": 6}, "restart"),
        ({"r2Prefix": "q", "gpusPerContainer": 4}, "replace"),
        ({"r2Prefix": "q", "locations": ["US"]}, "replace"),
        ({"r2Prefix": "q", "identity": "ffffffff"}, "replace"),
    ],
)
def test_each_change_has_one_meaning(change: dict[str, Any], kind: str) -> None:
    assert decide(RENTED, {**RENTED, **change}).kind == kind


@pytest.mark.parametrize("key", REPLACE_KEYS)
def test_each_replacing_key_replaces(key: str) -> None:
    found = decide(RENTED, {**RENTED, key: "another"})
    assert (found.kind, found.keys) == ("replace", (key,))


@pytest.mark.parametrize("key", [*TRAINED_KEYS, *TOKEN_KEYS, *HANDED_KEYS])
@pytest.mark.parametrize("image", ["r/i@sha256:1", "r/i@sha256:2", UNKNOWN])
def test_what_the_container_does_or_holds_starts_another_one_on_the_same_machine(
    key: str, image: object
) -> None:
    found = decide(RENTED, {**RENTED, key: "another", "image": image})
    assert (found.kind, found.keys) == ("restart", (key,))
    assert not found.is_another_run
    assert not found.extends


def test_more_hours_beside_another_training_are_bought_for_the_same_machine() -> None:
    found = decide(RENTED, {**RENTED, "r2Prefix": "q", "durationHours": 6})
    assert (found.kind, found.keys) == ("restart", ("r2Prefix", "durationHours"))
    assert found.extends
    assert found.is_another_training


@pytest.mark.parametrize(
    ("change", "mends"),
    [
        ({"r2Prefix": "q"}, True),
        ({"env": {"RECIPE": "rehearsal", "KEEP_ALIVE": "true", "DEVICE_BATCH_SIZE": "4"}}, True),
        ({"env": {"RECIPE": "rehearsal", "KEEP_ALIVE": "false"}}, False),
        ({"env": {"RECIPE": "rehearsal", "KEEP_ALIVE": "true", "WANDB_RUN": "w"}}, False),
        ({"image": "r/i@sha256:2"}, False),
        ({"renew": 1}, False),
        ({"renew": 1, "image": "r/i@sha256:2"}, True),
        ({"secretAccessKey": "new", "image": "r/i@sha256:2"}, False),
        ({"wandbApiKey": "new"}, False),
        ({"durationHours": 6}, False),
    ],
)
def test_only_the_users_own_change_of_what_is_trained_mends_a_failure(
    change: dict[str, Any], mends: bool
) -> None:
    assert decide(RENTED, {**RENTED, **change}).mends is mends


def test_a_machine_of_before_there_were_renewals_is_renewed_like_any_other() -> None:
    """A state of 6636e89 has no such key."""
    assert decide(RENTED, {**RENTED, "renew": 0}).kind == "keep"
    assert decide({**RENTED, "renew": 1}, {**RENTED, "renew": 2}).keys == ("renew",)
    assert decide({**RENTED, "renew": 1}, RENTED).kind == "restart"


@pytest.mark.parametrize("empty", [None, "", [], {}])
def test_what_is_empty_equals_what_is_missing(empty: object) -> None:
    without = {key: value for key, value in RENTED.items() if key != "wandbApiKey"}
    assert decide(without, {**without, "wandbApiKey": empty}).kind == "keep"


def test_a_changed_variable_is_named() -> None:
    found = decide(RENTED, {**RENTED, "env": {"RECIPE": "other", "KEEP_ALIVE": "true"}})
    assert found.names == ("RECIPE",)


def test_only_another_identity_is_another_run() -> None:
    assert decide(RENTED, {**RENTED, "identity": UNKNOWN}).is_another_run
    assert not decide(RENTED, {**RENTED, "gpuType": UNKNOWN}).is_another_run


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
    wider = {**RENTED, "locations": ["FI", "US"], "gpuType": "A100"}
    assert decide(RENTED, wider, country="FI").keys == ("gpuType",)


@pytest.mark.parametrize("key", NEXT_RENTAL_KEYS)
@pytest.mark.parametrize("other", [{}, {"durationHours": 6}, {"durationHours": 4}])
def test_what_the_program_itself_brings_waits_for_the_next_rental(
    key: str, other: dict[str, Any]
) -> None:
    found = decide(RENTED, {**RENTED, **other, key: "of another release"})
    assert found.waiting == (key,)
    assert key not in found.keys
    assert found.kind == decide(RENTED, {**RENTED, **other}).kind


# As commit 6636e89 declared it: the digest among the program's variables, no grace of a stop.
OLDER_ENV = {
    "R2_ENDPOINT": "https://x",
    "R2_BUCKET": "b",
    "WANDB_RUN": "dummy",
    "KEEP_ALIVE": "false",
    "RUN_NAME": "main",
    "RUN_PREFIX": "p",
    "RECIPE": "rehearsal",
    "RECIPE_SETTINGS": '{"depth": 2, "num_iterations": 7}',
    "IMAGE_DIGEST": "r/i@sha256:1",
    "GPU_TYPE": "CPU",
    "GPUS_PER_CONTAINER": "1",
    "DEVICE_BATCH_SIZE": "0",
    "TRAFFIC_PORT": "8000",
}


@pytest.mark.parametrize(
    "layout",
    [
        {"IMAGE_DIGEST": "r/i@sha256:2"},
        {"STOP_GRACE_S": "5"},
        {"OF_A_LATER_RELEASE": "1"},
        {"RECIPE_SETTINGS": '{"num_iterations":7,"depth":2}'},
        {"KEEP_ALIVE": ""},
        {"TRAFFIC_PORT": "9000"},
    ],
    ids=str,
)
def test_the_environments_layout_replaces_no_machine(layout: dict[str, str]) -> None:
    rented = {**RENTED, "env": OLDER_ENV}
    wanted = {**RENTED, "env": {**OLDER_ENV, **layout}}
    assert decide(rented, wanted).kind == "keep"
    assert rental_hash(rented) == rental_hash(wanted)


def test_the_environments_meaning_does() -> None:
    rented = {**RENTED, "env": OLDER_ENV}
    wanted = {**RENTED, "env": {**OLDER_ENV, "RECIPE_SETTINGS": "{}", "KEEP_ALIVE": "1"}}
    found = decide(rented, wanted)
    assert (found.kind, found.names) == ("restart", ("RECIPE_SETTINGS", "KEEP_ALIVE"))
    assert rental_hash(rented) != rental_hash(wanted)


@pytest.mark.parametrize(
    ("variable", "value"), [("STOP_GRACE_S", "60"), ("HF_ENDPOINT", "https://mirror.example")]
)
def test_what_only_the_next_machine_can_use_waits_for_the_next_rental(
    variable: str, value: str
) -> None:
    """A longer grace of a stop, another place to fetch from."""
    rented = {**RENTED, "env": OLDER_ENV}
    wanted = {**RENTED, "env": {**OLDER_ENV, variable: value}}
    found = decide(rented, wanted)
    assert (found.kind, found.waiting) == ("keep", (variable,))
    assert rental_hash(rented) == rental_hash(wanted)


@pytest.mark.parametrize("key", [*NEXT_RENTAL_KEYS, *TOKEN_KEYS, "durationHours", "renew"])
def test_a_machine_is_found_again_by_its_name_whatever_image_it_was_rented_with(key: str) -> None:
    """Kinds of change between a killed engine and the next `up` that leave the name alone."""
    assert rental_hash(RENTED) == rental_hash({**RENTED, key: "another"})


@pytest.mark.parametrize("key", [key for key in NAME_KEYS if key != "env"])
def test_another_machine_has_another_name(key: str) -> None:
    assert rental_hash(RENTED) != rental_hash({**RENTED, key: "another"})


def test_who_is_told_is_for_the_next_rental_and_replaces_nothing() -> None:
    told = decide(RENTED, {**RENTED, "notifyUrl": "https://a", "pingUrl": "https://b"})
    assert (told.kind, told.waiting) == ("keep", ("notifyUrl", "pingUrl"))


@pytest.mark.parametrize(
    ("models", "rented", "kind"),
    [
        ("H100, A100", "H100 SXM", "keep"),
        ("A100, H100", "H100 SXM", "keep"),
        ("A100, H100 PCIe", "H100 SXM", "replace"),
        ("A100, H200", "H100 SXM", "replace"),
        ("H100 SXM", "H100 SXM", "replace"),
    ],
)
def test_a_list_of_gpus_with_the_one_that_was_rented_replaces_nothing(
    models: str, rented: str, kind: str
) -> None:
    env = {**RENTED["env"], "GPU_TYPE": models.partition(",")[0]}
    wanted = {**RENTED, "gpuType": models, "env": env}
    assert decide(RENTED, wanted, gpu=GpuName.parse(rented)).kind == kind
