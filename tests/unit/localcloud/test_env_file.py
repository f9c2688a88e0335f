"""The env file leads into the local world, and out of it again without a trace."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from localcloud.env_file import environment, program_folders, variables, write_env_file
from localcloud.place import Place, load_place
from localcloud.pulumi.engine.install import VERSION, engine_dir

SHELLS = [shell for shell in ("sh", "bash", "zsh") if shutil.which(shell)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return load_place(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_sources_it_has_every_variable(place: Place, shell: str) -> None:
    write_env_file(place)
    said = _run(shell, f". {place.env_path}; env")
    for name, value in variables(place).items():
        assert f"{name}={value}" in said.splitlines()
    assert f"PATH={':'.join(program_folders())}:/usr/bin:/bin" in said.splitlines()


def test_it_leads_to_the_engine_that_is_made_whatever_the_version_of_the_sdk_is() -> None:
    """They were taken for one: with another engine `make up` ended with "No such file: pulumi"."""
    assert program_folders()[0] == str(engine_dir())
    assert engine_dir().name == VERSION != version("pulumi")


@pytest.mark.parametrize("shell", SHELLS)
def test_leaving_restores_the_environment(place: Place, shell: str) -> None:
    write_env_file(place)
    before = _run(shell, "env | grep -v ^_= | sort")
    # Sourced twice, as one does.
    after = _run(
        shell,
        f". {place.env_path}; . {place.env_path}; trainstack_leave; env | grep -v ^_= | sort",
    )
    assert after == before


@pytest.mark.parametrize("shell", SHELLS)
def test_leaving_brings_the_users_own_keys_and_addresses_back(place: Place, shell: str) -> None:
    """They were unset, so a paid stack in the same shell lost its keys."""
    write_env_file(place)
    own = {
        "IOCLOUD_API_KEY": 'the user\'s "own" $key',
        "CLOUDFLARE_API_TOKEN": "own token",
        "PULUMI_BACKEND_URL": "",
        "REGISTRY_SECRET": "two\nlines",
    }
    before = _run(shell, "env | grep -v ^_= | sort", **own)
    enter = f". {place.env_path}"
    inside = _run(shell, f"{enter}; {enter}; env", **own)
    assert "own" not in inside, "no program of the local world sees the user's keys"
    after = _run(
        shell, f"set -eu; {enter}; {enter}; trainstack_leave; env | grep -v ^_= | sort", **own
    )
    assert after == before


@pytest.mark.parametrize("shell", SHELLS)
def test_leaving_in_a_shell_started_from_within_leaves_too(place: Place, shell: str) -> None:
    write_env_file(place)
    enter = f". {place.env_path}"
    inner = f"{enter}; trainstack_leave; env"
    said = _run(shell, f"{enter}; {shell} -c '{inner}'", IOCLOUD_API_KEY="own")
    assert not [name for name in variables(place) if f"\n{name}=" in f"\n{said}"]


def test_leaving_restores_the_proxy_exceptions(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    write_env_file(place)
    said = _run("sh", f". {place.env_path}; trainstack_leave; env", no_proxy="corp.example")
    assert "no_proxy=corp.example" in said.splitlines()
    assert "NO_PROXY" not in said


def test_leaving_keeps_a_path_that_lost_our_programs(place: Place) -> None:
    write_env_file(place)
    said = _run("sh", f". {place.env_path}; PATH=/usr/bin:/bin; trainstack_leave; echo $PATH")
    assert said == "/usr/bin:/bin\n"


def test_leaving_twice_is_an_unknown_command_and_harmless(place: Place) -> None:
    write_env_file(place)
    said = _run("bash", f". {place.env_path}; trainstack_leave; trainstack_leave 2>&1; echo $PATH")
    assert said.splitlines()[-1] == "/usr/bin:/bin"


def test_a_quote_in_a_path_stays_a_quote(place: Place) -> None:
    odd = replace(place, directory=place.directory / "it's")
    odd.directory.mkdir()
    write_env_file(odd)
    said = _run("sh", f'. "{odd.env_path}"; echo "$TRAINSTACK_LOCAL_CLOUD"')
    assert said.strip() == str(odd.directory)


def test_a_child_process_gets_the_same_world(place: Place) -> None:
    env = environment(place, base={"PATH": "/usr/bin:/bin", "HOME": "/h"})
    assert env == {
        **variables(place),
        "HOME": "/h",
        "PATH": ":".join([*program_folders(), "/usr/bin", "/bin"]),
    }
    assert environment(place, base=env) == env


def test_only_its_owner_can_read_it(place: Place) -> None:
    write_env_file(place)
    assert place.env_path.stat().st_mode & 0o077 == 0


def test_behind_a_proxy_our_own_addresses_are_excepted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "corp.example")
    assert variables(place)["NO_PROXY"] == f"corp.example,127.0.0.1,localhost,{place.gateway}"


def _run(shell: str, script: str, **variables: str) -> str:
    done = subprocess.run(
        [shell, "-c", script],
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_the_file_of_a_world_that_is_gone_says_so_and_sets_nothing(
    tmp_path: Path, shell: str
) -> None:
    """A moved checkout's file led to addresses where nobody answers, without a word."""
    write_env_file(load_place(tmp_path / "a"))
    moved = (tmp_path / "a").rename(tmp_path / "b")
    said = _run(shell, f". {moved / 'env'} 2>&1 || echo refused; env")
    assert "`make up` writes this anew" in said.splitlines()[0]
    assert "refused" in said.splitlines()
    assert "PULUMI_HOME" not in said
    write_env_file(load_place(moved))  # as `make up` does before it starts anything
    said = _run(shell, f". {moved / 'env'} && env")
    assert f"TRAINSTACK_LOCAL_CLOUD={moved}" in said.splitlines()


def test_what_the_file_names_for_pulumis_state_is_there(place: Place) -> None:
    """`pulumi` makes no folder, and said "unable to open state directory"."""
    write_env_file(place)
    assert Path(variables(place)["PULUMI_BACKEND_URL"].removeprefix("file://")).is_dir()


def test_a_folder_whose_name_is_no_utf8_is_written_as_it_is(tmp_path: Path) -> None:
    place = replace(load_place(tmp_path), directory=tmp_path / "caf\udce9")
    place.directory.mkdir()
    write_env_file(place)
    assert b"caf\xe9/state" in place.env_path.read_bytes()
