"""The mark of what a container was started with."""

from __future__ import annotations

import pytest

from components.ionet import fingerprint

ENV = {"RUN_NAME": "main", "RECIPE": "rehearsal", "DURATION_HOURS": "1", "PRICE_USD_PER_HOUR": "2"}
SECRETS = {
    "R2_ACCESS_KEY_ID": "k",
    "R2_SECRET_ACCESS_KEY": "planted-secret",
    "ACCESS_TOKEN": "planted-token",
    "WANDB_API_KEY": "planted-wandb",
}
TOLD = {**ENV, fingerprint.VARIABLE: fingerprint.of(ENV, SECRETS)}


def test_the_same_container_is_recognised_by_what_the_vendor_tells_of_it() -> None:
    assert fingerprint.compare(TOLD, SECRETS) == "same"


@pytest.mark.parametrize("name", SECRETS)
def test_each_other_credential_is_another_container(name: str) -> None:
    assert fingerprint.compare(TOLD, {**SECRETS, name: "another"}) == "other"
    assert fingerprint.compare(TOLD, {k: v for k, v in SECRETS.items() if k != name}) == "other"


def test_a_changed_plain_variable_is_another_container() -> None:
    assert fingerprint.compare({**TOLD, "RECIPE": "another"}, SECRETS) == "other"


@pytest.mark.parametrize("name", ["DURATION_HOURS", "PRICE_USD_PER_HOUR"])
def test_hours_and_price_tell_no_two_containers_apart(name: str) -> None:
    assert fingerprint.compare({**TOLD, name: "9"}, SECRETS) == "same"


@pytest.mark.parametrize("env", [None, {}, ENV], ids=["not told", "none", "of an older release"])
def test_a_missing_mark_means_unknown(env: dict[str, str] | None) -> None:
    assert fingerprint.compare(env, SECRETS) == "unknown"


def test_the_mark_tells_nobody_anything() -> None:
    """Its key is the run's access token: guesses at the rest cannot be tried without it."""
    mark = fingerprint.of(ENV, SECRETS)
    assert len(mark) == 32
    assert not any(value in mark for value in SECRETS.values())
    assert mark != fingerprint.of(ENV, {**SECRETS, "ACCESS_TOKEN": "another"})
