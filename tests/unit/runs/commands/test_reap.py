"""`runs reap`: machines that bill and that no stack knows, against io.net's stand-in.

With a bucket and tokens besides, as a process: tests/provider/test_reap.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runs import checks, machines
from runs.cli import main
from runs.source.selector import Selector
from runs.source.source import Source
from tests.contract.caas_place import API_KEY, UNKNOWN_ID, CaasPlace
from tests.contract.in_memory_runtime import InMemoryRuntime

LOST = "trainstack-dev-main-0a1b2c3d-deadbeef"
KEPT = "trainstack-dev-wide-0a1b2c3d-deadbeef"
STRANGER = "somebody-elses-work"


@dataclass(frozen=True)
class Done:
    stdout: str
    stderr: str


@pytest.fixture
def caas(tmp_path: Path) -> Iterator[CaasPlace]:
    runtime = InMemoryRuntime()
    place = CaasPlace(tmp_path, runtime)
    yield place
    runtime.pull_may_end.set()
    place.stop()


@pytest.fixture
def ids(caas: CaasPlace) -> dict[str, str]:
    """Three machines that run, and one of this project that has ended."""
    found = {name: caas.deploy(name) for name in (LOST, KEPT, STRANGER, "trainstack-dev-old")}
    for deployment_id in found.values():
        caas.until(deployment_id, "running")
    caas.call("DELETE", f"deployment/{found['trainstack-dev-old']}")
    caas.until(found["trainstack-dev-old"], "destroyed")
    return found


def local(caas: CaasPlace, folder: Path, path: str = "/nowhere") -> dict[str, str]:
    return {
        "TRAINSTACK_LOCAL_CLOUD": str(folder),
        "IONET_BASE_URL": caas.url,
        "IOCLOUD_API_KEY": API_KEY,
        "CLOUDFLARE_BASE_URL": "http://127.0.0.1:9",
        "R2_ENDPOINT_URL": "http://127.0.0.1:9",
        "PATH": path,
    }


def stack_that_knows(folder: Path, *deployment_ids: str, cloud: str = "local") -> str:
    """A program named pulumi with a stack whose state holds these ids; returns a PATH with it."""
    resources = [{"urn": "stack"}, *({"urn": "d", "id": known} for known in deployment_ids)]
    state = json.dumps({"version": 3, "deployment": {"resources": resources}})
    config = json.dumps({"trainstack:cloud": {"value": cloud, "secret": False}})
    program = folder / "pulumi"
    program.write_text(
        f"#!/bin/sh\ncase \"$*\" in *export*) echo '{state}';; *config*) echo '{config}';; "
        "*) echo '{}';; esac\n"
    )
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.fixture
def reap(
    caas: CaasPlace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Done]:
    def run(*words: str, expect: int = 0, **changes: str) -> Done:
        for name, value in {**local(caas, tmp_path), **changes}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["runs", "reap", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert (ended.value.code or 0) == expect, told.err
        assert API_KEY not in told.out + told.err
        return Done(told.out, told.err)

    return run


def test_a_machine_is_found_though_every_state_is_lost(
    reap: Callable[..., Done], caas: CaasPlace, ids: dict[str, str]
) -> None:
    done = reap("--json")
    found = {entry["deployment_id"]: entry for entry in json.loads(done.stdout)["machines"]}
    assert set(found) == {ids[LOST], ids[KEPT]}
    entry = found[ids[LOST]]
    assert (entry["name"], entry["status"], entry["in_state"]) == (LOST, "running", None)
    assert float(entry["paid_usd"]) > 0
    assert 0 < entry["hours_left_at_most"] <= 1
    assert caas.details(ids[LOST])["status"] == "running"


def test_the_table_fits_80_columns_and_says_which_ones_the_state_knows(
    reap: Callable[..., Done], ids: dict[str, str], tmp_path: Path
) -> None:
    done = reap("--stack", "dev", PATH=stack_that_knows(tmp_path, ids[KEPT]))
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if ids[LOST] in line]
    rows = {line.split()[0]: line.split()[-1] for line in lines if line.startswith("trainstack")}
    assert sorted(rows.values()) == ["no", "yes"]
    assert "--yes" in done.stderr
    assert "?" in reap().stdout


def test_only_what_is_named_is_given_back_and_only_with_yes(
    reap: Callable[..., Done], caas: CaasPlace, ids: dict[str, str], tmp_path: Path
) -> None:
    knows = {"PATH": stack_that_knows(tmp_path, ids[KEPT])}
    assert "Nothing was done" in reap(ids[LOST], **knows).stderr
    assert caas.details(ids[LOST])["status"] == "running"
    assert "no deployment id" in reap("--yes", expect=2, **knows).stderr
    done = reap(ids[LOST], "--yes", "--json", **knows)
    listed = json.loads(done.stdout)["machines"]
    assert [one["deployment_id"] for one in listed if one["given_back"]] == [ids[LOST]]
    assert caas.details(ids[LOST])["status"] == "destroyed"
    assert caas.details(ids[KEPT])["status"] == "running"
    assert caas.details(ids[STRANGER])["status"] == "running"


def test_a_machine_that_the_state_knows_is_left_to_pulumi_destroy(
    reap: Callable[..., Done], caas: CaasPlace, ids: dict[str, str], tmp_path: Path
) -> None:
    knows = {"PATH": stack_that_knows(tmp_path, ids[KEPT])}
    done = reap(ids[LOST], ids[KEPT], "--yes", expect=1, **knows)
    assert "pulumi destroy" in done.stderr
    assert caas.details(ids[LOST])["status"] == "running"
    reap(ids[KEPT], "--yes", "--force", **knows)
    assert caas.details(ids[KEPT])["status"] == "destroyed"


@pytest.mark.parametrize("which", ["a stranger's", "an unknown one"])
def test_what_is_not_a_live_machine_of_this_project_is_refused(
    reap: Callable[..., Done], caas: CaasPlace, ids: dict[str, str], which: str
) -> None:
    wrong = {
        "a stranger's": ids[STRANGER],
        "an unknown one": UNKNOWN_ID,
    }[which]
    done = reap(ids[LOST], wrong, "--yes", "--force", expect=2)
    assert f"with the id {wrong}" in done.stderr
    assert caas.details(ids[LOST])["status"] == "running"
    assert caas.details(ids[STRANGER])["status"] == "running"


def test_one_that_has_ended_already_is_no_reason_to_refuse_the_others(
    reap: Callable[..., Done], caas: CaasPlace, ids: dict[str, str]
) -> None:
    done = reap(ids["trainstack-dev-old"], ids[LOST], "--yes")
    assert f"{ids['trainstack-dev-old']} has ended." in done.stderr
    assert caas.details(ids[LOST])["status"] == "destroyed"


def test_a_machine_that_does_not_go_is_told_and_the_others_are_given_back(
    reap: Callable[..., Done],
    caas: CaasPlace,
    ids: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = machines.give_back

    def stuck(client: Any, machine: machines.Machine) -> None:
        if machine.deployment_id == ids[KEPT]:
            raise machines.RunsError("io.net still lists it.")
        real(client, machine)

    monkeypatch.setattr(machines, "give_back", stuck)
    done = reap(ids[KEPT], ids[LOST], "--yes", expect=1)
    assert f"{ids[KEPT]} may still bill" in done.stderr
    assert ids[KEPT] in done.stdout
    assert caas.details(ids[LOST])["status"] == "destroyed"


def test_a_stack_that_was_named_and_cannot_be_read_is_no_stack_without_machines(
    reap: Callable[..., Done], ids: dict[str, str]
) -> None:
    done = reap("--stack", "dev", expect=2)
    assert "pulumi is not on PATH" in done.stderr
    assert "--bucket NAME" in done.stderr
    assert done.stdout == ""


def test_shell_and_stack_of_two_worlds_are_refused_before_anybody_is_asked(
    reap: Callable[..., Done], caas: CaasPlace, tmp_path: Path
) -> None:
    path = stack_that_knows(tmp_path, cloud="io.net")
    assert "must not be set for a paid run" in reap("--stack", "prod", expect=2, PATH=path).stderr
    half = reap(expect=2, CLOUDFLARE_BASE_URL="")
    assert "CLOUDFLARE_BASE_URL" in half.stderr


def test_no_key_a_refused_key_and_no_answer_are_three_different_endings(
    reap: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "RETRY_FOR_S", 0.0)
    assert "no io.net key" in reap(expect=2, IOCLOUD_API_KEY="").stderr
    assert "refused the API key" in reap(expect=5, IOCLOUD_API_KEY="wrong").stderr
    assert "no answer" in reap(expect=5, IONET_BASE_URL="http://127.0.0.1:9").stderr


def test_the_doctor_tells_of_machines_that_the_state_does_not_know(
    caas: CaasPlace, ids: dict[str, str], tmp_path: Path
) -> None:
    def finding(*known: str) -> checks.Finding:
        environ = local(caas, tmp_path, stack_that_knows(tmp_path, *known))
        source = Source(
            Selector(stack="dev"), environ={**environ, "REGISTRY_SERVER": "127.0.0.1:9"}
        )
        return {f.check: f for f in checks.findings(source)}["rented machines"]

    some = finding(ids[KEPT])
    assert (some.outcome, "reap" in some.remedy) == ("unknown", True)
    assert "1 of 2" in some.what
    assert finding(ids[KEPT], ids[LOST]).outcome == "ok"
