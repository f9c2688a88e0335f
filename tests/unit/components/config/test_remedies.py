"""What a refused config says is taken out of its lines and done: then the line is gone."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config.settings import SettingsError, load_settings
from localcloud.env_file import write_env_file
from localcloud.place import load_place
from tests.unit.components.config.test_settings import DEV, LOCAL_ENV, PAID_ENV, load, problems
from tests.unit.localcloud.pulumi.scratch_project import ScratchProject

PAID: dict[str, Any] = {**DEV, "cloud": "io.net"}


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


def refusal(config: dict[str, Any], *, env: dict[str, str], secret: frozenset[str]) -> str:
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in config.items()}
    try:
        load_settings(texts, secret_keys=secret, env=env, project="trainstack", stack="dev")
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.engine
@pytest.mark.parametrize(
    ("change", "env", "then"),
    [
        ({"aws:region": "x"}, LOCAL_ENV, []),
        (
            {"trainstack:runs": {"a": {}, "b": {}}, "trainstack:runs.a.renew": 1},
            LOCAL_ENV,
            ["trainstack:runs.a.renew", "1"],
        ),
        ({"trainstack:locations[0]": "FI"}, LOCAL_ENV, ["trainstack:locations[0]", "FI"]),
        ({"trainstack:wandbApiKey": "planted"}, LOCAL_ENV, []),
        ({"cloudflare:apiToken": "planted"}, LOCAL_ENV, []),
        ({"trainstack:wandbRun": "mine"}, LOCAL_ENV, []),
        ({"trainstack:cloud": "io.net"}, {"CLOUDFLARE_API_TOKEN": "t"}, []),
        ({"trainstack:cloud": "io.net"}, {"IONET_API_KEY": "t"}, []),
    ],
    ids=lambda value: ",".join(value)[:30],
)
def test_the_commands_of_a_refused_config_mend_it(
    tmp_path: Path, change: dict[str, Any], env: dict[str, str], then: list[str]
) -> None:
    project = ScratchProject(tmp_path)
    file = project.folder / "Pulumi.dev.yaml"
    config = {**{f"trainstack:{key}": value for key, value in DEV.items()}, **change}
    kept: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    file.write_text(yaml.safe_dump({**kept, "config": config}))
    told = refusal(config, env=env, secret=frozenset())
    commands = re.findall(r"pulumi (config (?:rm|set)[^`;\n]*)", told)
    assert commands, told
    for command in commands:
        more = then if command.endswith("--path") else []
        project.pulumi(*command.split(), *more, typed="typed-by-hand")
    shown = json.loads(project.pulumi("config", "--json", "--show-secrets"))
    after = {key: entry.get("value", "") for key, entry in shown.items()}
    secret = frozenset(key for key, entry in shown.items() if entry["secret"])
    assert refusal(after, env=env, secret=secret) == ""
