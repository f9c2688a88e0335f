"""Whose config keys a message about one run names."""

from __future__ import annotations

import pytest

from components.config.one_run import sweep_of, with_own_keys

BY_PATH = " `pulumi config set --path` sets the keys of one run."


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Raise trainstack:renew.", "Raise trainstack:runs.b.renew." + BY_PATH),
        (
            "Set trainstack:durationHours back to 3, or raise trainstack:maxCostUsd.",
            "Set trainstack:runs.b.durationHours back to 3, or raise trainstack:runs.b.maxCostUsd."
            + BY_PATH,
        ),
        (
            "raise it: pulumi config set trainstack:renew 2",
            "raise it: pulumi config set --path trainstack:runs.b.renew 2",
        ),
        ("trainstack:recipeSettings", "trainstack:runs.b.recipeSettings." + BY_PATH),
        ("Check trainstack:bucket.", "Check trainstack:bucket."),
        (
            "pulumi config set --secret trainstack:wandbApiKey",
            "pulumi config set --secret trainstack:wandbApiKey",
        ),
        ("another name in trainstack:runs", "another name in trainstack:runs"),
        ("nothing to set", "nothing to set"),
    ],
)
def test_a_message_to_a_run_of_a_sweep_names_the_keys_that_are_its_own(text: str, own: str) -> None:
    assert with_own_keys(text, run="b") == own
    assert with_own_keys(own, run="b") == own
    assert with_own_keys(text, run="") == text


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ('{"a": {}, "b": {"renew": 1}}', {"a", "b"}),
        ("{}", set()),
        ("", set()),
        ("[]", set()),
        ("no json", set()),
    ],
)
def test_the_runs_of_a_sweep_are_read_from_its_config(raw: str, names: set[str]) -> None:
    assert sweep_of(raw) == names
