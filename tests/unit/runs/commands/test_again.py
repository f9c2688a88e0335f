"""`runs again` as it is typed: its exit code ends a loop of updates, or lets it go on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest

from components.ledger.page import Entry
from tests.unit.components.ledger.test_attempts import entry, page
from tests.unit.runs.pulumi_double import PulumiDouble
from tests.unit.runs.typed import Ended, typed

Config = Mapping[str, str]
DEFAULTS: Config = MappingProxyType({})
SWEEP = {"runs": json.dumps({"main": {}, "wide": {}})}
CONFIG = {"trainstack:bucket": "my-bucket", "trainstack:cloud": "io.net"}


def again(
    folder: Path, *entries: Entry, words: Sequence[str] = (), config: Config = DEFAULTS
) -> Ended:
    stacks = PulumiDouble(folder)
    changed = {f"trainstack:{key}": value for key, value in config.items()}
    stacks.stack("prod", config={**CONFIG, **changed})
    ledger = page(*entries)
    objects = {ledger.owner.key: ledger.to_json()} if entries else {}
    return typed(objects, "again", "--stack", "prod", *words, environ={"PATH": stacks.path})


@pytest.mark.parametrize(
    ("entries", "config", "code", "said"),
    [
        ((entry(),), {}, 0, "main: try again: machine 1 of 3 did not work (GPU 3 fails)"),
        ((entry(),), {"attempts": "1"}, 1, "main: no: machine 1 of 1 did not work"),
        ((entry(),), {"maxCostUsd": "100"}, 1, "of its budget are left"),
        ((entry(refused=""),), {}, 1, "main: no: its last machine was not found bad"),
        ((), {}, 1, "main: no: nothing was rented"),
    ],
)
def test_the_exit_code_says_whether_another_update_makes_sense(
    tmp_path: Path, entries: tuple[Entry, ...], config: dict[str, str], code: int, said: str
) -> None:
    ended = again(tmp_path, *entries, config=config)
    assert ended.code == code, ended.err
    assert said in ended.out


def test_one_run_of_a_sweep_is_enough_and_each_is_told(tmp_path: Path) -> None:
    ended = again(tmp_path, entry(), config=SWEEP, words=["--json"])
    assert ended.code == 0
    found = json.loads(ended.out)
    assert (found["main"]["makes_sense"], found["wide"]["makes_sense"]) == (True, False)


def test_a_stack_has_to_be_named(tmp_path: Path) -> None:
    ended = typed({}, "again", environ={"PATH": PulumiDouble(tmp_path).path})
    assert ended.code == 2
    assert "Name it: --stack NAME" in ended.err
    assert again(tmp_path, entry()).code == 0
