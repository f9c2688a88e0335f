"""A mistyped run is said to be none by every command, at once; a pasted address is understood."""

from __future__ import annotations

import inspect

import pytest

from container.contract.records import RunRecord
from runs import cli
from runs.errors import EXIT_USAGE
from tests.runs_builders import jsonl, manifest, metric, status, verdict
from tests.unit.runs.typed import typed

PREFIX = "prod-eu-main-0a1b2c3d-deadbeef"
OBJECTS = {
    f"{PREFIX}/{key}": raw
    for key, raw in {
        "run.json": RunRecord(run="main", recipe="rehearsal", settings={}).to_json(),
        "status.json": status(outcome="succeeded").to_json(),
        "metrics/1-00000.jsonl": jsonl(*(metric("base", n, loss=6 - n / 20) for n in range(60))),
        "logs/1-base-00000.log": b"a line\n",
        "manifest.json": manifest({"report/report.md": b"x"}).to_json(),
        "verdict.json": verdict().to_json(),
    }.items()
}
OF_A_RUN = [
    name for command, name, *_ in cli.COMMANDS if "prefix" in inspect.signature(command).parameters
]


@pytest.mark.parametrize("command", OF_A_RUN)
@pytest.mark.parametrize(
    "words",
    [
        ("--bucket", "b", "--prefix", "prod-eu-mian-0a1b2c3d-deadbeef"),
        ("--bucket", "b", "--run", "mian"),
        ("--run", "s3://b/prod-eu-mian-0a1b2c3d-deadbeef/"),
    ],
    ids=["prefix", "run", "address"],
)
def test_a_mistyped_run_is_none_and_what_there_is_is_named(
    command: str, words: tuple[str, ...]
) -> None:
    """As in https://github.com/skypilot-org/skypilot/issues/1342"""
    ended = typed(OBJECTS, command, *words)
    assert ended.code == EXIT_USAGE
    assert "holds no run" in ended.err
    assert PREFIX in ended.err
    assert "waiting" not in ended.out + ended.err
    assert ended.out == ""


@pytest.mark.parametrize("command", [c for c in OF_A_RUN if c != "pull"])
@pytest.mark.parametrize(
    "words",
    [
        ("--run", f"s3://b/{PREFIX}/"),
        ("--prefix", f"r2://b/{PREFIX}"),
        ("--prefix", f"http://127.0.0.1:9/b/{PREFIX}/"),
        ("--bucket", "b", "--prefix", f"/{PREFIX}/"),
        ("--bucket", "b", "--prefix", f"b/{PREFIX}/"),
        ("--bucket", "b", "--run", "main"),
        ("--bucket", "b", "--run", "prod-eu"),
    ],
)
def test_a_run_is_found_however_it_is_named(command: str, words: tuple[str, ...]) -> None:
    assert typed(OBJECTS, command, *words).code == 0


def test_an_address_of_another_account_is_refused() -> None:
    ended = typed(OBJECTS, "status", "--prefix", f"https://elsewhere.example/b/{PREFIX}")
    assert ended.code == EXIT_USAGE
    assert "elsewhere.example" in ended.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("logs", "--stage", "bsae"), "base"),
        (("loss", "--stage", "bsae"), "base"),
        (("logs", "--attempt", "7"), "1"),
    ],
)
def test_a_mistyped_stage_is_no_stage_that_is_to_come(words: tuple[str, ...], named: str) -> None:
    ended = typed(OBJECTS, *words, "--bucket", "b")
    assert ended.code == EXIT_USAGE
    assert f"{words[2]}" in ended.err
    assert named in ended.err.splitlines()[1]
    assert "yet" not in ended.err


@pytest.mark.parametrize("command", ["list", *OF_A_RUN])
def test_the_stack_of_the_environment_gives_way_to_a_bucket_that_is_named(command: str) -> None:
    which = () if command == "list" else ("--run", "main")
    if command == "pull":
        return
    environ = {"TRAINSTACK_STACK": "another"}
    assert typed(OBJECTS, command, *which, "--bucket", "b", environ=environ).code == 0
