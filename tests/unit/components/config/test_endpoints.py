"""What the environment gives, as it is meant; and what of it nobody could take."""

from __future__ import annotations

import pytest

from components.config.endpoints import (
    ADDRESSES,
    KEYS,
    differing_ionet_keys,
    entered,
    flaws,
    ionet_key,
)


@pytest.mark.parametrize("name", [*KEYS, *ADDRESSES, "CLOUDFLARE_ACCOUNT_ID"])
def test_what_was_pasted_along_with_a_key_is_dropped(name: str) -> None:
    """https://github.com/jekyll/Utterson/pull/30"""
    assert entered({name: "\ufeff value\u00a0\r\n"}) == {name: "value"}


def test_what_belongs_to_others_stays_to_the_letter() -> None:
    theirs = {"PULUMI_CONFIG_PASSPHRASE": " secret ", "HTTPS_PROXY": "http://me:pw@proxy:1 "}
    assert entered(theirs) == theirs


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_no_header_can_carry_is_named_with_the_place_and_not_shown(name: str) -> None:
    said = f"{name}: character 8 is U+2019, not printable ASCII; copy the key again"
    assert flaws({name: "planted\u2019x"}) == [said]


def test_a_registrys_secret_may_be_a_key_file_of_several_lines() -> None:
    assert flaws({"REGISTRY_SECRET": '{\n  "type": "service_account"\n}'}) == []
    assert flaws({"REGISTRY_USERNAME": "_json\nkey"})


@pytest.mark.parametrize("name", ADDRESSES)
@pytest.mark.parametrize(
    "address", ["https://me:planted@host", "https://planted@host", "https://host/?token=planted"]
)
def test_an_address_with_a_secret_in_it_is_refused_and_not_shown(name: str, address: str) -> None:
    """Addresses go into plain variables of a machine, into states, logs and image histories."""
    (line,) = flaws({name: address})
    assert line.startswith(f"{name}: has a user, a password or a token in it")
    assert "planted" not in line


GUIDES, ALIAS = "IOCLOUD_API_KEY", "IONET_API_KEY"


@pytest.mark.parametrize(
    ("env", "variable"),
    [
        ({GUIDES: "one"}, GUIDES),
        ({ALIAS: "one"}, ALIAS),
        ({ALIAS: "one", GUIDES: ""}, ALIAS),
        ({ALIAS: "", GUIDES: "one"}, GUIDES),
        ({ALIAS: " one\n", GUIDES: "one"}, GUIDES),
    ],
)
def test_the_key_of_io_net_is_taken_by_the_guides_name_and_by_the_older_one(
    env: dict[str, str], variable: str
) -> None:
    found = ionet_key(entered(env))
    assert (found.variable, found.value) == (variable, "one")
    assert flaws(entered(env)) == []


def test_two_keys_of_io_net_that_differ_are_told_by_both_names_and_not_shown() -> None:
    told = flaws({GUIDES: "planted-one", ALIAS: "planted-two"})
    assert told == [differing_ionet_keys({GUIDES: "planted-one", ALIAS: "planted-two"})]
    assert told[0].startswith(f"{GUIDES} and {ALIAS}: are two names of one key")
    assert "planted" not in told[0]
    assert flaws({GUIDES: "planted-one"}) == [], "unset IONET_API_KEY, as it says"
    assert flaws({GUIDES: "planted-one", ALIAS: "planted-one"}) == [], "or the same value"
