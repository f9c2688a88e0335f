"""What the local cloud and `make` say to type next is typed, on a machine without Docker."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.main_job import cli as main_job
from localcloud.place import PORT_NAMES, load_place
from localcloud.processes import Service, Supervised
from tests import ROOT
from tests.unit.runs.pulumi_double import PulumiDouble
from tests.unit.runs.test_model_client import event, machine
from tests.unit.runs.test_remedies import PREFIX, run
from tests.unit.runs.typed import typed

SLEEPS = [sys.executable, "-c", "import time; print('serving', flush=True); time.sleep(600)"]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TRAINSTACK_LOCAL_DIR": str(tmp_path / "local"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DOCKER_HOST": f"unix://{tmp_path}/no-docker.sock",
    }


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Supervised]:
    """A local cloud of which the mirror runs."""
    cloud = tmp_path / "local"
    load_place(cloud)
    supervised = Supervised(cloud / "run", cloud / "log")
    mirror = Service("mirror", "a demonstration", "", SLEEPS, healthy=lambda: True)
    supervised.start(mirror)
    yield supervised
    supervised.stop(mirror)


def shell(line: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Type a line, of which `.venv` is this environment's."""
    line = line.replace(".venv/bin/python", "python").replace(
        "make ", "python -m localcloud.main_job "
    )
    return subprocess.run(
        ["bash", "-c", line.replace("python ", f"{shlex.quote(sys.executable)} ", 1)],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("verdict", [0, 1])
def test_each_command_after_a_run_answers_about_it(tmp_path: Path, verdict: int) -> None:
    pulumi = PulumiDouble(tmp_path)
    said = main_job.what_next(verdict, env_path=".local/env")
    commands = re.findall(r"^  python -m runs (\w+)", said, re.MULTILINE)
    assert len(commands) >= 2
    with machine(200, event("So.")) as (url, _):
        outputs = {"bucket": "b", "r2_prefix": PREFIX, "status_url": url}
        pulumi.stack(outputs=outputs, secret_outputs={"access_token": "t"})
        pulumi.select("dev")  # as `make up` does
        for command in commands:
            more = {"chat": ["-p", "Why?"], "pull": ["--to", str(tmp_path / "copy")]}
            ended = typed(run(), command, *more.get(command, []), environ={"PATH": pulumi.path})
            assert ended.code == 0, ended.err


def test_a_cloud_that_runs_elsewhere_is_stopped_by_the_command_that_down_tells(
    env: dict[str, str], serving: Supervised, tmp_path: Path
) -> None:
    env["TRAINSTACK_LOCAL_DIR"] = str(tmp_path)
    (tmp_path / "local").rename(tmp_path / "tests")
    load_place(tmp_path)
    told = shell("make down", env).stdout
    (command,) = re.findall(r"To stop them: (.+)", told)
    assert shell(command, env).returncode == 0
    assert Supervised(tmp_path / "tests/run", tmp_path / "tests/log").process("mirror") is None


def test_purge_is_done_without_a_terminal_by_the_command_that_it_tells(
    env: dict[str, str], serving: Supervised, tmp_path: Path
) -> None:
    refused = shell("make purge", env).stderr
    (command,) = re.findall(r"without being asked: (.+)", refused)
    assert shell(command, env).returncode == 0
    assert not (tmp_path / "local").exists()
    assert serving.process("mirror") is None


def test_a_folder_that_holds_no_cloud_gives_way_to_the_one_that_the_variable_names(
    env: dict[str, str], tmp_path: Path
) -> None:
    load_place(tmp_path / "local")
    (tmp_path / "photographs").mkdir()
    purge = "python -m localcloud.main_job purge --yes"
    refused = shell(purge, {**env, "TRAINSTACK_LOCAL_DIR": str(tmp_path / "photographs")}).stderr
    (variable,) = re.findall(r"see (\w+)", refused)
    assert shell(purge, {**env, variable: str(tmp_path / "local")}).returncode == 0
    assert not (tmp_path / "local").exists()


@pytest.mark.parametrize("command", ["down", "purge --yes"])
def test_what_was_interrupted_goes_on_when_the_same_is_typed_again(
    env: dict[str, str], serving: Supervised, tmp_path: Path, command: str
) -> None:
    name = command.split()[0]
    program = (
        "import sys; from localcloud import services, purge; from localcloud.main_job import cli\n"
        "def leave(*_, **__): raise KeyboardInterrupt\n"
        "services.stop = cli.clear = leave\n"
        f"sys.argv = ['main_job', *{command.split()!r}]\n"
        "from localcloud.main_job import __main__; from container.contract import edge\n"
        f"edge.run(__main__.main, program='make', comfort=__main__._COMFORT[{name!r}])"
    )
    left = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert left.returncode == 130, left.stderr
    assert f"`make {command.split()[0]}` again goes on from here" in left.stderr
    assert serving.process("mirror") is not None
    again = shell(f"python -m localcloud.main_job {command}", env)
    assert again.returncode == 0, again.stderr
    assert serving.process("mirror") is None
    assert (tmp_path / "local").exists() == (command == "down")


def test_status_tells_what_runs_and_the_log_that_it_names_why_another_ended(
    env: dict[str, str], serving: Supervised
) -> None:
    told = shell("python -m localcloud status", env)
    assert told.returncode == 3
    rows = {line.split()[0]: line for line in told.stdout.splitlines() if line}
    assert {"mirror", "s3", "caas", "cloudflare", "registry"} <= set(rows)
    assert "logs SERVICE" in told.stderr
    assert "serving" in shell("python -m localcloud logs mirror", env).stdout


def test_a_service_without_a_log_has_one_after_its_start(
    env: dict[str, str], tmp_path: Path
) -> None:
    cloud = tmp_path / "local"
    load_place(cloud)
    early = shell("python -m localcloud logs mirror", env)
    assert (early.returncode, "start` makes it start" in early.stderr) == (1, True)
    supervised = Supervised(cloud / "run", cloud / "log")
    mirror = Service("mirror", "a demonstration", "", SLEEPS, healthy=lambda: True)
    supervised.start(mirror)
    try:
        assert shell("python -m localcloud logs mirror", env).returncode == 0
    finally:
        supervised.stop(mirror)


def test_data_outlives_a_stop_and_goes_with_a_purge(
    env: dict[str, str], serving: Supervised, tmp_path: Path
) -> None:
    kept = tmp_path / "local/s3/volume"
    kept.parent.mkdir()
    kept.write_text("a model")
    before = load_place(tmp_path / "local")
    told = shell("python -m localcloud stop", env)
    assert "goes on with it, `make purge` deletes it" in told.stderr
    assert load_place(tmp_path / "local") == before, "the same ports and keys serve it again"
    assert kept.read_text() == "a model"
    assert shell("python -m localcloud.main_job purge --yes", env).returncode == 0
    assert not kept.exists()
    anew = load_place(tmp_path / "local")
    assert set(anew.ports) == set(PORT_NAMES)
    assert anew.place_id != before.place_id
