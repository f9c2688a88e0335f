"""No remedy is printed that no test has carried out.

"`pulumi up` resumes it on a new machine" was printed for months, and `pulumi up` changed nothing.
"""

from __future__ import annotations

import ast

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


def told(place: str) -> list[Told]:
    modules = modules_in(ROOT, (place,))
    return [one for name in sorted(modules) for one in told_in(modules[name], module=name)]


def fits(row: Row, one: Told) -> bool:
    return row.module == one.module and row.words in one.text


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
