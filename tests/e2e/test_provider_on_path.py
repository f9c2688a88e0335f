"""A provider plugin on PATH, which the engine takes instead of the installed one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.scratch_stack import CommandFailedError, ScratchStack
from tests.unit.components.r2.test_bucket_check import OLDER, install

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.mark.parametrize("command", ["preview", "up"])
def test_a_jurisdiction_that_it_does_not_know_is_told_and_leaves_no_bucket_behind(
    new_stack: Callable[..., ScratchStack], tmp_path: Path, command: str
) -> None:
    """Seen with a provider of before 6.23: the update failed after the bucket was made."""
    stack = new_stack(jurisdiction="us")
    plugin = install(OLDER, tmp_path / "older")
    env, path = stack.env, stack.env["PATH"]
    stack.env = {**env, "PATH": f"{plugin.parent}:{path}"}
    with pytest.raises(CommandFailedError, match="jurisdiction must be one of") as failed:
        stack.up() if command == "up" else stack.preview()
    assert "Traceback" not in str(failed.value)
    stack.env = env
    planned = stack.preview()
    assert "imported" not in planned and "to import" not in planned, "there is no bucket yet"
