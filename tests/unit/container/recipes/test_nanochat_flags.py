"""A nanochat program's arguments are built from the names of what it takes, by one table."""

from __future__ import annotations

import ast

import pytest

from container.contract.recipe import render_argv
from container.recipes._nanochat_flags import TODAY, WITH_MIDTRAINING, arguments
from tests import ROOT

VALUES = {"depth": 4, "fp8": True, "tag": "d4", "eval_problems": 8, "max_seq_len": 2048}


@pytest.mark.parametrize(
    ("program", "name", "argv"),
    [
        ("base_train", "depth", ["--depth=4"]),
        ("base_train", "fp8", ["--fp8"]),  # a switch
        ("base_train", "device_type=cpu", ["--device-type=cpu"]),  # not a setting: said here
        ("chat_sft", "total_batch_size={max_seq_len}", ["--total-batch-size=2048"]),
        ("chat_eval", "tag", ["-g", "d4"]),  # flag and value apart
        ("chat_eval", "source=sft", ["-i", "sft"]),
    ],
)
def test_a_name_becomes_the_flag_of_that_program_with_the_value_of_the_setting(
    program: str, name: str, argv: list[str]
) -> None:
    assert render_argv(arguments(TODAY, program, name), VALUES) == argv


def test_a_switch_that_is_off_is_left_out() -> None:
    assert render_argv(arguments(TODAY, "base_train", "fp8"), VALUES | {"fp8": False}) == []


def test_the_order_is_that_of_the_names() -> None:
    argv = render_argv(arguments(TODAY, "chat_eval", "eval_problems", "tag", "source=sft"), VALUES)
    assert argv == ["-x", "8", "-g", "d4", "-i", "sft"]


def test_a_name_that_the_program_does_not_take_fails_at_import_not_on_a_paid_machine() -> None:
    with pytest.raises(KeyError, match="save_every"):
        arguments(TODAY, "chat_sft", "save_every")
    with pytest.raises(KeyError, match="fp8"):
        arguments(WITH_MIDTRAINING, "base_train", "fp8")


def test_no_recipe_of_nanochat_spells_a_flag_of_its_programs_itself() -> None:
    """Two copies of the flags were two places to change when nanochat renames one."""
    flags = {
        text.split("=")[0]
        for generation in (TODAY, WITH_MIDTRAINING)
        for table in generation.values()
        for text in table.values()
    }
    ours = {"--window-pattern", "--model-tag"}  # of container/nanochat's own programs, same words
    spelled = [
        f"{path.name}:{node.lineno}: {node.value}"
        for path in sorted((ROOT / "container/recipes").glob("*nanochat*.py"))
        if path.name != "_nanochat_flags.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value.split("=")[0] in flags - ours
    ]
    assert spelled == [], "name the setting, and let _nanochat_flags.arguments() spell the flag"
