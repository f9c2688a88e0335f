"""`make up` after `kill -9` of its engine: the lock is released, the machine adopted, by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from localcloud.pulumi.stack import STACK, Stack, StackError
from tests.e2e.run_in_cloud import wait_for
from tests.e2e.scratch_stack import ROOT, Cloud

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(600)]


def locks(env: dict[str, str]) -> list[Path]:
    state = Path(env["PULUMI_BACKEND_URL"].removeprefix("file://"))
    return list((state / ".pulumi/locks").rglob("*.json"))


def dev_machines(cloud: Cloud) -> list[str]:
    return [name for name in cloud.live_deployments() if f"-{STACK}-" in name]


def test_make_up_goes_on_by_itself_after_its_engine_was_killed(
    local_world: dict[str, str], cloud: Cloud, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stack = Stack(ROOT, env=local_world)
    stack.select()
    stack.destroy()  # what this test left when it was killed itself
    talk = tmp_path / "pulumi up"
    with talk.open("wb") as output:
        up = subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", STACK],
            cwd=ROOT,
            env=local_world,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def a_machine_is_rented() -> bool:
        assert up.poll() is None, talk.read_text()
        return len(dev_machines(cloud)) == 1

    try:
        # The image may have to be built first.
        wait_for(a_machine_is_rented, what="a machine is rented", within_s=400)
        with pytest.raises(StackError, match="is being changed by another pulumi"):
            stack.heal()
    finally:
        up.kill()
        up.wait()
    rented = dev_machines(cloud)
    assert locks(local_world), "a killed engine leaves its lock"
    try:
        stack.up()
        assert dev_machines(cloud) == rented
        assert "was killed in the middle of its work" in capfd.readouterr().out
    finally:
        stack.destroy()
    assert dev_machines(cloud) == []
    assert locks(local_world) == []
