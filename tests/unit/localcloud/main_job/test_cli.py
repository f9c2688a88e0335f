"""`make down` and `make purge` when little is there or much is broken; what `make up` says last."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from localcloud import services
from localcloud.errors import LocalCloudError
from localcloud.main_job import cli as main_job
from localcloud.place import load_place
from localcloud.processes import Service, Supervised
from localcloud.pulumi import engine
from localcloud.pulumi.stack import PROJECT, STACK, Stack

Start = Callable[[Path], psutil.Process]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a local cloud on a machine without Docker, where no engine may be asked for."""
    monkeypatch.setenv("TRAINSTACK_LOCAL_DIR", str(tmp_path / "local"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")

    def ensure_engine(_: object) -> Path:
        raise AssertionError("a Pulumi engine was got for nothing")

    monkeypatch.setattr(engine, "ensure_engine", ensure_engine)
    return tmp_path / "local"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a background process of a local cloud; all are ended after the test."""
    started: list[psutil.Process] = []

    def begin(cloud: Path) -> psutil.Process:
        supervised = Supervised(cloud / "run", cloud / "log")
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        supervised.start(Service("mirror", "a demonstration", "", command, healthy=lambda: True))
        process = supervised.process("mirror")
        assert process is not None
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.is_running():
            process.kill()


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_down_on_a_fresh_machine_says_that_nothing_is_there_and_makes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main_job.down()
    assert "Nothing to give back" in capsys.readouterr().out
    assert not folder.exists()


def test_down_without_a_stack_stops_the_services_and_gets_no_engine(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """It built the engine, in minutes, before it looked."""
    load_place(folder)
    process = start(folder)
    main_job.down()
    assert ended(process)
    assert "Given back" in capsys.readouterr().out


def test_down_names_the_clouds_of_killed_tests_and_leaves_them_alone(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    load_place(folder)
    load_place(folder / "tests")
    process = start(folder / "tests")
    main_job.down()
    said = capsys.readouterr().out
    assert f"Still running: mirror in {folder / 'tests'}" in said
    assert f"TRAINSTACK_LOCAL_DIR={folder / 'tests'} .venv/bin/python -m localcloud stop" in said
    assert not ended(process)


def test_down_with_a_damaged_place_names_the_remedy(folder: Path) -> None:
    """It was a traceback."""
    folder.mkdir()
    (folder / "place.json").write_text("{}")
    with pytest.raises(SystemExit, match="make purge"):
        main_job.down()


@pytest.mark.parametrize("content", ["", "not json", '{"schema": 99, "place_id": "0a1b2c3d"}'])
def test_purge_stops_and_deletes_a_cloud_whose_place_is_damaged(
    folder: Path, start: Start, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    folder.mkdir()
    (folder / "place.json").write_text(content)
    process = start(folder)
    main_job.purge(yes=True)
    assert ended(process) and not folder.exists()
    said = capsys.readouterr()
    assert "Deleted" in said.out
    assert ("docker network ls" in said.err) == ("place_id" not in content)


def test_purge_of_a_copied_checkout_leaves_what_the_original_runs(
    folder: Path, tmp_path: Path, start: Start
) -> None:
    """The copied pid files and labels name the original's processes and containers."""
    original = tmp_path / "original"
    load_place(original)
    process = start(original)
    shutil.copytree(original, folder)
    with pytest.raises(SystemExit, match="is a copy of"):
        main_job.down()
    main_job.purge(yes=True)
    assert not folder.exists() and not ended(process)


def test_purge_needs_no_working_cloud_and_no_engine_though_there_is_a_stack(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a port or the subnet taken it never came to delete: it had to start all that first."""
    load_place(folder)
    state = folder / "state" / ".pulumi" / "stacks" / PROJECT
    state.mkdir(parents=True)
    (state / f"{STACK}.json").write_text("{}")

    def cannot_start(_: object) -> None:
        raise LocalCloudError("port 20001 is held by somebody; `make purge` chooses new ports")

    monkeypatch.setattr(services, "start", cannot_start)
    process = start(folder)
    main_job.purge(yes=True)
    assert ended(process) and not folder.exists()


def test_purge_stops_the_clouds_of_killed_tests_before_their_pid_files_are_gone(
    folder: Path, start: Start
) -> None:
    load_place(folder)
    for other in ("bench", "tests"):
        load_place(folder / other)
    (folder / "tests" / "place.json").write_text("damaged")
    processes = [start(folder / other) for other in ("bench", "tests")]
    main_job.purge(yes=True)
    assert [ended(one) for one in processes] == [True, True]
    assert not folder.exists()


def test_purge_names_what_it_could_not_stop_and_deletes_the_rest(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_place(folder)

    def refuses(_: str) -> int:
        raise LocalCloudError("the Docker engine could not remove the containers")

    monkeypatch.setattr("localcloud.docker.network.remove_containers", refuses)
    main_job.purge(yes=True)
    assert "Not done: the Docker engine could not remove the contain" in capsys.readouterr().err
    assert not folder.exists()


def test_purge_waits_for_a_person_while_an_engine_works_on_the_stack(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_place(folder)
    monkeypatch.setattr(Stack, "is_being_changed", lambda _: True)
    with pytest.raises(SystemExit, match="Ctrl-C"):
        main_job.purge(yes=True)
    assert folder.exists()
    monkeypatch.setattr(Stack, "is_being_changed", lambda _: False)  # it has ended
    main_job.purge(yes=True)
    assert not folder.exists()


def test_purge_deletes_no_folder_that_holds_no_local_cloud(folder: Path) -> None:
    (folder / "photographs").mkdir(parents=True)
    with pytest.raises(SystemExit, match="holds no local cloud"):
        main_job.purge(yes=True)
    assert (folder / "photographs").exists()


@pytest.mark.parametrize("verdict", [0, 1, 3, 4, 5])
def test_what_is_offered_after_a_run_fits_its_verdict(verdict: int) -> None:
    """A run that failed was followed by the offer to talk with its model."""
    said = main_job.what_next(verdict, env_path=".local/env")
    good = verdict == 0
    assert ("runs chat" in said, "runs logs" in said) == (good, not good)
    assert ("it is billed" in said) == (not good)
    assert ("trainstack:rerun" in said) == (verdict == 1)
    assert "make down" in said
