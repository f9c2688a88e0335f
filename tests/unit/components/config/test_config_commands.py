"""The commands that a refused config tells are typed, by the real Pulumi CLI, and help."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.config.one_run import with_own_keys
from components.config.settings import SettingsError, load_settings
from localcloud.pulumi import engine
from tests import ROOT
from tests.program.conftest import ACCOUNT, LOCAL_ENV

pytestmark = pytest.mark.engine

GOOD = {
    "trainstack:cloud": "local",
    "trainstack:cloudflareAccountId": ACCOUNT,
    "trainstack:bucket": "a-bucket",
    "trainstack:imageRepository": "trainstack/rehearsal",
    "trainstack:recipe": "rehearsal",
    "trainstack:gpuType": "CPU",
    "trainstack:gpusPerContainer": 1,
    "trainstack:durationHours": 1,
}
Pulumi = Callable[..., str]


@pytest.fixture
def pulumi(tmp_path: Path) -> Pulumi:
    """Type a `pulumi` in a folder with this project's file and a stack of its own."""
    (tmp_path / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    (tmp_path / "state").mkdir()
    env = {
        **os.environ,
        "PATH": f"{engine.ensure_engine(print)}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_BACKEND_URL": f"file://{tmp_path}/state",
        "PULUMI_CONFIG_PASSPHRASE": "a-passphrase",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }

    def typed(command: str, *, pasted: str = "") -> str:
        done = subprocess.run(
            [*shlex.split(command), "--non-interactive", "--stack", "dev"],
            cwd=tmp_path,
            env=env,
            input=pasted,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    subprocess.run(
        ["pulumi", "stack", "init", "dev", "--non-interactive"],
        cwd=tmp_path,
        env=env,
        check=True,
        capture_output=True,
    )
    return typed


def write(tmp_path: Path, **bad: object) -> None:
    """Write the stack's config, keeping what makes its secrets readable."""
    file = tmp_path / "Pulumi.dev.yaml"
    salt = file.read_text(encoding="utf-8") if file.exists() else ""
    config = {**GOOD, **bad}
    lines = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in config.items())
    kept = "".join(f"{line}\n" for line in salt.splitlines() if line.startswith("encryptionsalt"))
    file.write_text(f"config:\n{lines}{kept}", encoding="utf-8")


def refused(pulumi: Pulumi, env: dict[str, str]) -> str:
    """Return what the program says of the config as the engine hands it over; "" for nothing."""
    found = json.loads(pulumi("pulumi config --json --show-secrets"))
    config = {name: str(entry["value"]) for name, entry in found.items() if "value" in entry}
    secret = frozenset(name for name, entry in found.items() if entry["secret"])
    try:
        load_settings(config, secret_keys=secret, env=env, project="trainstack", stack="dev")
    except SettingsError as error:
        return str(error)
    return ""


def told(said: str) -> list[str]:
    """Return the commands that a refusal names."""
    found = re.findall(r"pulumi config (?:set --secret|set --path|rm)[^`;\n]*", said)
    return [command.strip() for command in found]


@pytest.mark.parametrize(
    ("bad", "pasted"),
    [
        ({"elsewhere:colour": "red"}, ""),
        ({"trainstack:wandbApiKey": "in-clear"}, "a-key"),
        ({"cloudflare:apiToken": "in-clear"}, "a-token"),
        ({"trainstack:wandbRun": "a-run"}, "a-key"),
    ],
    ids=["unknown namespace", "a key in clear", "the token in clear", "a run without its key"],
)
def test_the_command_that_a_refused_config_names_mends_it(
    bad: dict[str, object], pasted: str, pulumi: Pulumi, tmp_path: Path
) -> None:
    write(tmp_path, **bad)
    said = refused(pulumi, LOCAL_ENV)
    assert next(iter(bad)) in said
    (command,) = told(said)
    pulumi(command, pasted=pasted)
    assert refused(pulumi, LOCAL_ENV) == ""


@pytest.mark.parametrize("missing", ["IOCLOUD_API_KEY", "CLOUDFLARE_API_TOKEN"])
def test_a_key_that_is_not_in_the_environment_may_be_set_in_the_config(
    missing: str, pulumi: Pulumi, tmp_path: Path
) -> None:
    real = {"trainstack:cloud": "io.net", "trainstack:recipe": "nanochat-cpu"}
    write(tmp_path, **real, **{"trainstack:durationHours": 5})
    env = {"IOCLOUD_API_KEY": "a-key", "CLOUDFLARE_API_TOKEN": "a-token"}
    del env[missing]
    said = refused(pulumi, env)
    assert f"{missing}: is not set" in said
    (command,) = told(said)
    pulumi(command, pasted="a-key")
    assert refused(pulumi, env) == ""


@pytest.mark.parametrize(
    ("key", "value", "beside"),
    [
        ("trainstack:recipeSettings.depth", 2, {}),
        ("trainstack:locations[0]", "FI", {}),
        ("trainstack:runs.a-b.renew", 1, {"trainstack:runs": {"a-b": {}, "c": {}}}),
    ],
)
def test_what_lies_within_a_key_is_set_by_its_path(
    key: str, value: object, beside: dict[str, object], pulumi: Pulumi, tmp_path: Path
) -> None:
    """Set by its path alone, the key without one went on being refused beside it."""
    write(tmp_path, **beside, **{key: value})
    removal, setting = told(refused(pulumi, LOCAL_ENV))
    pulumi(removal)
    pulumi(f"{setting} {key} {value}")
    assert refused(pulumi, LOCAL_ENV) == ""


@pytest.mark.parametrize(
    "message", ["raise trainstack:renew", "pulumi config set trainstack:renew 4"]
)
def test_a_key_of_one_run_is_set_by_its_path(pulumi: Pulumi, tmp_path: Path, message: str) -> None:
    """`trainstack:renew` would rent the machines of all runs anew, or do nothing for this one."""
    write(tmp_path, **{"trainstack:renew": 1, "trainstack:runs": {"a": {}, "b": {"renew": 3}}})
    told = with_own_keys(message, run="b")
    (key,) = re.findall(r"trainstack:runs\.b\.\w+", told)
    typed = re.search(r"pulumi config set --path trainstack\S+ \d", told)
    pulumi(typed[0] if typed else f"pulumi config set --path {key} 4")
    found = json.loads(pulumi("pulumi config --json"))
    config = {name: str(entry["value"]) for name, entry in found.items() if "value" in entry}
    settings = load_settings(
        config, secret_keys=frozenset(), env=LOCAL_ENV, project="trainstack", stack="dev"
    )
    assert {run.name: run.renew for run in settings.runs} == {"a": 1, "b": 4}
