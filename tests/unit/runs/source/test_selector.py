"""What of the command line may stand together, and how a pasted address is read."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest

from runs import cli
from runs.errors import EXIT_USAGE, SettingMissingError
from runs.source.selector import Selector

PREFIX = "dev-main-0a1b2c3d-deadbeef"
ACCOUNT = "0123456789abcdef0123456789abcdef"

VALUES = {
    "--stack": ("dev", "prod"),
    "--bucket": ("b", "c"),
    "--prefix": (PREFIX, "dev-other-0a1b2c3d-deadbeef"),
    "--run": ("main", "other"),
}
EXCLUDE = (("--run", "--prefix"), ("--stack", "--bucket"))


def from_options(option: str, value: str, **others: Any) -> Selector:
    options: dict[str, Any] = {option: [value], "environ": {}, **others}
    return Selector.from_options(**options)


def contradictions() -> list[tuple[str, list[str]]]:
    """Every command with every two of its own options that mean two things."""
    found: list[tuple[str, list[str]]] = []
    for command, name, *_ in cli.COMMANDS:
        options = {f"--{parameter}" for parameter in inspect.signature(command).parameters}
        options &= set(VALUES)
        for one in sorted(options):
            first, second = VALUES[one]
            found.append((name, [one, first, one, second]))
        for one, other in EXCLUDE:
            if {one, other} <= options and not (name == "reap" and one == "--stack"):
                found.append((name, [one, VALUES[one][0], other, VALUES[other][0]]))
        if {"--stack", "--prefix"} <= options:
            pasted = f"s3://b/{PREFIX}/"
            found += [
                (name, ["--stack", "prod", "--prefix", PREFIX]),
                (name, ["--bucket", "c", "--prefix", pasted]),
                (name, ["--bucket", "c", "--run", pasted]),
                (name, ["--stack", "dev", "--run", pasted]),
            ]
    return found


@pytest.mark.parametrize(
    ("command", "words"), contradictions(), ids=lambda v: v if isinstance(v, str) else " ".join(v)
)
def test_selectors_that_contradict_each_other_are_refused_by_every_command_naming_both(
    command: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As asked for in https://github.com/rackspace/rack/issues/61"""
    monkeypatch.setenv("PATH", "/nowhere")  # nobody is asked
    extra = {"rm": ["--yes"], "stop": ["main"]}.get(command, [])
    monkeypatch.setattr(sys, "argv", ["runs", command, *words, *extra])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == EXIT_USAGE
    told = capsys.readouterr()
    for option, value in zip(words[::2], words[1::2], strict=True):
        assert f"{option} {value}" in told.err
    assert told.out == ""


@pytest.mark.parametrize("option", list(VALUES))
def test_an_empty_option_is_refused_as_a_variable_that_is_not_set_would_give(option: str) -> None:
    with pytest.raises(SettingMissingError, match=f"{option} is empty"):
        from_options(option.removeprefix("--"), " ")


def test_what_is_said_beats_what_the_environment_holds() -> None:
    environ = {"TRAINSTACK_STACK": "prod"}
    said = Selector.from_options(stack=["dev"], environ=environ)
    assert (said.stack, said.stack_from_environment) == ("dev", False)
    for option, value in (("bucket", "b"), ("prefix", PREFIX), ("run", f"s3://b/{PREFIX}")):
        found = from_options(option, value, environ=environ)
        assert (found.stack, found.stack_from_environment) == ("prod", True)


def test_the_same_said_twice_is_no_contradiction() -> None:
    assert Selector.from_options(run=["main", "main"], environ={}).run == "main"


@pytest.mark.parametrize("option", ["prefix", "run"])
@pytest.mark.parametrize(
    ("address", "host"),
    [
        (f"s3://b/{PREFIX}/", ""),
        (f"s3://b/{PREFIX}", ""),
        (f"S3://b//{PREFIX}//", ""),
        (f"r2://b/{PREFIX}/", ""),
        (
            f"https://{ACCOUNT}.r2.cloudflarestorage.com/b/{PREFIX}/",
            f"{ACCOUNT}.r2.cloudflarestorage.com",
        ),
        (
            f"https://b.{ACCOUNT}.eu.r2.cloudflarestorage.com/{PREFIX}/",
            f"{ACCOUNT}.eu.r2.cloudflarestorage.com",
        ),
        (f"http://127.0.0.1:8333/b/{PREFIX}", "127.0.0.1:8333"),
        (f"https://dash.cloudflare.com/{ACCOUNT}/r2/default/buckets/b?prefix={PREFIX}%2F", ""),
    ],
)
def test_an_address_that_was_pasted_names_bucket_and_prefix(
    option: str, address: str, host: str
) -> None:
    expected = Selector(bucket="b", prefix=PREFIX, host=host)
    assert from_options(option, address) == expected
    assert from_options(option, address, bucket=["b"]) == expected


@pytest.mark.parametrize(
    ("option", "address", "complaint"),
    [
        ("prefix", "s3://b/", "--bucket b"),
        ("run", "s3://b", "--bucket b"),
        ("prefix", "s3:///x", "names no bucket"),
        ("prefix", "gs://b/x", "begins with s3://"),
        ("bucket", f"s3://b/{PREFIX}/", f"--prefix s3://b/{PREFIX}/"),
    ],
)
def test_an_address_that_names_too_little_or_too_much_is_answered(
    option: str, address: str, complaint: str
) -> None:
    with pytest.raises(SettingMissingError, match=complaint):
        from_options(option, address)


def test_a_bucket_may_be_given_as_an_address() -> None:
    assert Selector.from_options(bucket=["s3://b/"], environ={}).bucket == "b"


@pytest.mark.parametrize("said", [PREFIX, f"/{PREFIX}/", f"b/{PREFIX}/", f"b//{PREFIX}"])
def test_slashes_and_the_buckets_name_before_a_prefix_do_no_harm(said: str) -> None:
    assert Selector().within(said, bucket="b") == PREFIX


@pytest.mark.parametrize("said", [f"{PREFIX}/logs", f"b/{PREFIX}/logs/", f"c/{PREFIX}"])
def test_what_lies_below_a_prefix_is_not_taken_for_the_run(said: str) -> None:
    with pytest.raises(SettingMissingError, match="no run prefix"):
        Selector().within(said, bucket="b")
