"""What a refused config says is taken out of its lines and done: then the line is gone."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from localcloud.env_file import write_env_file
from localcloud.place import load_place
from tests.unit.components.config.test_settings import PAID_ENV, load, problems


def shell(*lines: str, **env: str) -> dict[str, str]:
    """Return the environment of a shell in which these lines were typed."""
    script = "\n".join([*lines, "env -0"])
    plain = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    done = subprocess.run(
        ["bash", "-ec", script], env={**plain, **env}, capture_output=True, text=True, check=True
    )
    return dict(one.split("=", 1) for one in done.stdout.split("\0") if "=" in one)


@pytest.fixture
def enter(tmp_path: Path) -> str:
    """The line that enters the local world, whose file `make up` wrote."""
    place = load_place(tmp_path)
    write_env_file(place)
    return f"source {shlex.quote(str(place.env_path))}"


def test_a_local_stack_works_in_a_shell_that_sourced_the_file(enter: str) -> None:
    assert "run `source .local/env` first" in problems(env=shell())
    assert load(env=shell(enter))


@pytest.mark.parametrize("way", ["leave", "a new terminal"])
def test_a_paid_stack_works_in_a_shell_that_left_the_local_world(enter: str, way: str) -> None:
    told = problems(env=shell(enter, **PAID_ENV), cloud="io.net")
    found = re.search(r"run `(\w+)` or open a new terminal", told)
    assert found, told
    left = shell(enter, found[1], **PAID_ENV) if way == "leave" else shell(**PAID_ENV)
    assert load(env=left, cloud="io.net")


def test_a_missing_key_is_set_in_the_environment() -> None:
    told = problems(env={}, cloud="io.net")
    names = re.findall(r"(\w+): is not set; set it, or", told)
    assert names == list(PAID_ENV)
    assert load(env=dict.fromkeys(names, "key"), cloud="io.net")


def test_a_run_that_reports_to_nobody_needs_no_key() -> None:
    found = re.search(r"; (\S+) reports nothing", problems(wandbRun="mine"))
    assert found
    assert load(wandbRun=found[1])
