"""What is dropped around a pasted value, and what is said of one that cannot be a key."""

from __future__ import annotations

import pytest

from container.contract.pasted import cleaned, cleaned_all, flaw


@pytest.mark.parametrize(
    "around",
    ["\n", "\r\n", " ", "\t", "\ufeff", "\u200b", "\u00a0", "\u2060", "\u3000", " \u200b\n"],
)
def test_white_space_around_a_key_is_dropped_seen_or_not(around: str) -> None:
    assert cleaned(f"{around}key 1{around}") == "key 1"
    assert cleaned(around) == ""


def test_a_good_value_stays_what_it_is() -> None:
    for value in ("", "k", "a b", "cfat_~!@#$%^&*()"):
        assert cleaned(value) == value
        assert flaw("KEY", value) == ""


def test_all_values_are_cleaned_or_those_that_are_named() -> None:
    assert cleaned_all({"A": " a\n", "B": " b\n"}) == {"A": "a", "B": "b"}
    assert cleaned_all({"A": " a\n", "B": " b\n"}, only=("A",)) == {"A": "a", "B": " b\n"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("planted-key\u2019rest", "character 12 is U+2019"),
        ("planted\nkey", "character 8 is U+000A (a line end)"),
        ("planted\rkey", "character 8 is U+000D (a line end)"),
        ("planted\x00", "character 8 is U+0000"),
        ("\x1bplanted", "character 1 is U+001B"),
        ("planted\x7f", "character 8 is U+007F"),
        ("pl\u00e4nted", "character 3 is U+00E4"),
        ("planted\U0001f600", "character 8 is U+1F600"),
        ("pl\u200banted", "character 3 is U+200B"),
        ("planted\ud800", "character 8 is U+D800"),
    ],
)
def test_what_no_header_can_carry_is_named_with_its_place_and_never_shown(
    value: str, said: str
) -> None:
    text = flaw("CLOUDFLARE_API_TOKEN", value)
    assert text == f"CLOUDFLARE_API_TOKEN: {said}, not printable ASCII; copy the key again"


def test_a_registrys_secret_may_be_of_several_lines() -> None:
    key = '{\n\t"type": "service_account"\r\n}'
    assert flaw("REGISTRY_SECRET", key, lines=True) == ""
    assert "U+2019" in flaw("REGISTRY_SECRET", "{\n\u2019}", lines=True)
