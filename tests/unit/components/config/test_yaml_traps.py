"""Values that YAML turned into others, as the engine handed them over (tried with 3.259)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.config.yaml_traps import traps


def found(written: str, became: Any, *, key: str = "nanochatCommit") -> list[tuple[str, str]]:
    handed_over = became if isinstance(became, str) else json.dumps(became)
    text = f"config:\n  trainstack:{key}: {written}\n"
    return [(one.key, one.text) for one in traps(text, given={key: handed_over})]


@pytest.mark.parametrize(
    ("written", "became"),
    [
        ("0123456", "42798"),
        ("08", "8"),
        ("0012345", "5349"),
        ("1e3", "1000"),
        ("1234567e1", "12345670"),
        ("0x1f", "31"),
        ("0o17", "15"),
        ("0b11", "3"),
        ("1_000", "1000"),
        ("12:30:45", "45045"),
        (".5", "0.5"),
        ("+5", "5"),
        ("0.50", "0.5"),
        ("1234567.0", "1234567"),
        ("12345678901234567890123456789012", "1.2345678901234567e+31"),
        ("2026-01-01", "2026-01-01 00:00:00 +0000 UTC"),
    ],
)
def test_a_text_that_became_a_number_or_a_moment_is_found(written: str, became: str) -> None:
    assert found(written, became) == [("nanochatCommit", written)]
    assert found(f'"{written}"', became) == []
    assert found(f"'{written}'", written) == []


@pytest.mark.parametrize(
    ("written", "became"),
    [
        ("1234567", "1234567"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("True", "true"),
        ("~", ""),
        ("1e1012345678901234567890123456", "1e1012345678901234567890123456"),
        ("0123456", "main"),  # came from elsewhere
        ("{secure: v1:abc}", "0123456"),
        ("[unclosed", "x"),
    ],
)
def test_what_stayed_itself_or_came_from_elsewhere_is_none(written: str, became: str) -> None:
    assert found(written, became) == []


@pytest.mark.parametrize(
    ("written", "became", "trapped"),
    [("05", "5", False), ("1.50", "1.5", False), ("010", "8", True), ("0x10", "16", True)],
)
def test_of_a_number_only_another_number_is_a_trap(
    written: str, became: str, trapped: bool
) -> None:
    assert bool(found(written, became, key="durationHours")) == trapped


def test_what_lies_within_lists_and_objects_is_found_too() -> None:
    assert found("[FI, 010]", ["FI", 8], key="locations") == [("locations[1]", "010")]
    runs = {"83": {"gpuType": 1000, "recipeSettings": {"depth": 8}}}
    written = "{0123: {gpuType: 1e3, recipeSettings: {depth: 010}}}"
    assert found(written, runs, key="runs") == [("runs.0123", "0123")]
    runs = {"a": runs["83"]}
    assert found(written.replace("0123", "a"), runs, key="runs") == [
        ("runs.a.gpuType", "1e3"),
        ("runs.a.recipeSettings.depth", "010"),
    ]


def test_a_key_without_its_namespace_and_a_file_of_another_kind_are_read() -> None:
    assert [one.line for one in traps("config:\n\n  rerun: 010\n", given={"rerun": "8"})] == [3]
    for text in ("", "config:", "config: []", "- a", "config: {? [a] : b}", "a: &a [*a]", "\x00"):
        assert traps(text, given={"rerun": "8"}) == []
