"""Stacks for the tests of the whole line, each with its own name, destroyed whatever happens."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from container.recipes.rehearsal import TEST_SETTINGS
from tests.e2e.scratch_stack import Cloud, ScratchStack


@pytest.fixture
def cloud(local_world: dict[str, str]) -> Cloud:
    return Cloud(local_world)


@pytest.fixture
def new_stack(local_world: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., ScratchStack]]:
    """Make stacks of the rehearsal in its test size; each has a bucket of its own unless told."""
    made: list[ScratchStack] = []

    def make(**config: Any) -> ScratchStack:
        name = f"t{secrets.token_hex(3)}"
        defaults = {"bucket": f"trainstack-{name}", "recipeSettings": dict(TEST_SETTINGS)}
        stack = ScratchStack(name, env=local_world, folder=tmp_path, config={**defaults, **config})
        stack.init()
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.remove()
