"""No remedy is printed that no test has carried out.

"`pulumi up` resumes it on a new machine" was printed for months, and `pulumi up` changed nothing.
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests import ROOT
from tests.remedies import of_local_cloud, of_program, of_terminal
from tests.remedies.row import Row
from tests.remedies.scan import Told, told_in
from tests.source_tree import modules_in

REGISTERS = {
    "components": of_program.ROWS,
    "container": of_program.ROWS,
    "runs": of_terminal.ROWS,
    "localcloud": of_local_cloud.ROWS,
}


# What declares an option or a program names it, and tells nobody to use it.
BARE_NAME = re.compile(r"--[a-z-]+|python -m [a-z_.]+")


@cache
def told(place: str) -> list[Told]:
    """The messages of a place, the same text of one module once."""
    modules = modules_in(ROOT, (place,))
    every = [one for name in sorted(modules) for one in told_in(modules[name], module=name)]
    distinct = {(one.module, one.text): one for one in reversed(every)}
    return [one for one in reversed(distinct.values()) if not BARE_NAME.fullmatch(one.text)]


def fits(row: Row, one: Told) -> bool:
    """Whether a row is of a message; words that are one message whole are of no other."""
    if row.module != one.module:
        return False
    whole = any((o.module, o.text) == (row.module, row.words) for o in told(place_of(one)))
    return row.words == one.text if whole else row.words in one.text


def place_of(one: Told) -> str:
    return one.module.split(".")[0]


@pytest.mark.parametrize("place", sorted(REGISTERS))
def test_every_remedy_that_is_printed_is_registered_once(place: str) -> None:
    wrong = [
        f"{one.module} line {one.line}: {one.text[:100]!r}"
        for one in told(place)
        if sum(fits(row, one) for row in REGISTERS[place]) != 1
    ]
    assert not wrong, "give each one row in tests/remedies/:\n" + "\n".join(wrong)


@pytest.mark.parametrize("place", sorted(REGISTERS))
def test_every_row_is_of_one_message_that_is_still_printed(place: str) -> None:
    rows = [row for row in REGISTERS[place] if row.module.split(".")[0] == place]
    messages = told(place)
    wrong = [str(row) for row in rows if len({m.text for m in messages if fits(row, m)}) != 1]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "register", [of_program.ROWS, of_terminal.ROWS, of_local_cloud.ROWS], ids=lambda _: ""
)
def test_what_carries_a_remedy_out_is_a_test(register: tuple[Row, ...]) -> None:
    wrong: list[str] = []
    for row in register:
        if bool(row.carried_out_by) == bool(row.no_remedy):
            wrong.append(f"{row}: one of carried_out_by and no_remedy")
        elif row.carried_out_by and not is_test(row.carried_out_by):
            wrong.append(f"{row.carried_out_by}: no such test")
    assert not wrong, "\n".join(wrong)


def is_test(node_id: str) -> bool:
    file, _, name = node_id.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
