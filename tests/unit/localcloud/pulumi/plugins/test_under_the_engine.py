"""The stand-in plugins under the real engine: made, unchanged, refreshed, changed, unmade."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.unit.localcloud.pulumi.plugins.cloudflare_double import ACCOUNT, CloudflareDouble
from tests.unit.localcloud.pulumi.scratch_project import LOCAL_SHELL, ScratchProject

pytestmark = pytest.mark.engine

NO_CHANGE = "--expect-no-changes"

BUCKET_AND_TOKEN = f"""
    import json
    import pulumi
    import pulumi_cloudflare as cloudflare

    config = pulumi.Config()
    bucket = cloudflare.R2Bucket(
        "bucket", account_id="{ACCOUNT}", name=config.get("name") or "runs", location="weur"
    )
    token = cloudflare.AccountToken(
        "token",
        account_id="{ACCOUNT}",
        name=config.get("token") or "writer",
        expires_on="2027-01-01T00:00:00Z",
        policies=[cloudflare.AccountTokenPolicyArgs(
            effect="allow",
            permission_groups=[cloudflare.AccountTokenPolicyPermissionGroupArgs(id="2efd")],
            resources=bucket.name.apply(lambda name: json.dumps(
                {{f"com.cloudflare.edge.r2.bucket.{ACCOUNT}_default_{{name}}": "*"}},
                separators=(",", ":"),
            )),
        )],
    )
    pulumi.export("value", token.value)
    pulumi.export("token", token.id)
    pulumi.export("location", bucket.location)
"""


def outputs_of(project: ScratchProject, name: str) -> dict[str, Any]:
    """Return a resource's outputs as the state holds them, what is encrypted as it is."""
    resources = json.loads(project.pulumi("stack", "export"))["deployment"]["resources"]
    return next(one["outputs"] for one in resources if one["urn"].endswith(f"::{name}"))


@pytest.fixture
def cloudflare() -> Iterator[CloudflareDouble]:
    with CloudflareDouble() as double:
        yield double


@pytest.fixture
def project(tmp_path: Path, cloudflare: CloudflareDouble) -> ScratchProject:
    return ScratchProject(
        tmp_path, CLOUDFLARE_BASE_URL=cloudflare.url, CLOUDFLARE_API_TOKEN="cfat_PLANTEDOPERATOR"
    )


def test_bucket_and_token_live_and_die_with_the_stack(
    project: ScratchProject, cloudflare: CloudflareDouble
) -> None:
    project.program(BUCKET_AND_TOKEN)
    preview = project.pulumi("preview")
    assert "3 to create" in preview and cloudflare.sent == []

    project.up()
    assert project.output("value") == cloudflare.token_value
    assert project.output("location") == "WEUR"
    assert "PLANTED" not in project.everything_kept()
    project.up(NO_CHANGE)
    project.refresh(NO_CHANGE)
    assert outputs_of(project, "token")["__meta"] == '{"schema_version":"501"}'

    token = project.output("token")
    project.pulumi("config", "set", "token", "renamed")
    assert "1 updated" in project.up()
    assert project.output("token") == token, "a renamed token is the same token"
    assert project.output("value") == cloudflare.token_value, "and keeps its value"

    project.pulumi("destroy", "--yes", "--skip-preview")
    assert (cloudflare.buckets, cloudflare.tokens) == ({}, {})


def test_a_bucket_that_exists_is_adopted_and_kept(
    project: ScratchProject, cloudflare: CloudflareDouble
) -> None:
    cloudflare.buckets["default", "old"] = {
        "name": "old",
        "creation_date": "2025-01-01T00:00:00Z",
        "location": "ENAM",
        "storage_class": "Standard",
    }
    program = f"""
        import pulumi, pulumi_cloudflare as cloudflare
        cloudflare.R2Bucket(
            "bucket", account_id="{ACCOUNT}", name="old", jurisdiction="default",
            storage_class="Standard",
            opts=pulumi.ResourceOptions(
                import_="{ACCOUNT}/old/default", retain_on_delete=True
            ),
        )
    """
    project.program(program)
    assert "1 imported" in project.up()
    project.up(NO_CHANGE)
    project.refresh(NO_CHANGE)
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert ("default", "old") in cloudflare.buckets
    assert "1 imported" in project.up()

    project.program(program.replace("old", "missing"))
    assert "There is no cloudflare:index/r2Bucket:R2Bucket" in project.up(status=1)


def test_a_token_that_expired_is_made_again_after_a_refresh(
    project: ScratchProject, cloudflare: CloudflareDouble
) -> None:
    project.program(BUCKET_AND_TOKEN)
    project.up()
    first = project.output("token")
    cloudflare.tokens[first]["status"] = "expired"
    project.up(NO_CHANGE)
    assert "1 deleted" in project.refresh()
    project.up()
    assert project.output("token") != first


def test_a_vanished_bucket_is_no_error_to_refresh_but_one_to_delete(
    project: ScratchProject, cloudflare: CloudflareDouble
) -> None:
    project.program(BUCKET_AND_TOKEN)
    project.up()
    cloudflare.buckets.clear()
    assert "10006" in project.pulumi("destroy", "--yes", "--skip-preview", status=1)
    project.refresh()
    project.pulumi("destroy", "--yes", "--skip-preview")


def test_a_command_runs_again_when_a_trigger_changes_and_not_before(
    project: ScratchProject,
) -> None:
    project.program("""
        import pulumi, pulumi_command as command
        config = pulumi.Config()
        first = command.local.Command(
            "first",
            create="echo made >> log; printf %s $KEY | wc -c",
            delete="echo unmade >> log",
            environment={"KEY": config.require_secret("key")},
            triggers=[config.get("trigger") or "1"],
        )
        second = command.local.Command("second", create="cat", stdin=first.stdout)
        pulumi.export("count", second.stdout)
    """)
    project.pulumi("config", "set", "--secret", "key", "PLANTED")
    log = project.folder / "log"
    assert "[unknown]" in project.pulumi("preview") and not log.exists()
    project.up()
    project.up(NO_CHANGE)
    project.refresh(NO_CHANGE)
    assert project.output("count") == "7"
    assert "PLANTED" not in project.everything_kept()
    project.pulumi("config", "set", "trigger", "2")
    assert "1 replaced" in project.up()
    assert log.read_text().split() == ["made", "made", "unmade"]
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert log.read_text().split() == ["made", "made", "unmade", "unmade"]


def test_what_a_command_prints_lies_in_the_state_in_plain_text(project: ScratchProject) -> None:
    """As with the official plugin, whatever is secret around it: nothing secret may be printed."""
    project.program("""
        import pulumi, pulumi_command as command
        key = pulumi.Config().require_secret("key")
        command.local.Command("says", create="echo heard; echo also >&2", environment={"KEY": key})
    """)
    project.pulumi("config", "set", "--secret", "key", "PLANTED")
    said = project.up()
    outputs = outputs_of(project, "says")
    assert (outputs["stdout"], outputs["stderr"]) == ("heard", "also")
    assert "PLANTED" not in project.everything_kept()
    assert "heard" not in said.partition("Diagnostics:")[2]


def test_each_command_says_of_each_plugin_that_it_is_a_stand_in(project: ScratchProject) -> None:
    project.program(f"""
        import pulumi_cloudflare as cloudflare, pulumi_command as command
        command.local.Command("says", create="true")
        cloudflare.R2Bucket("bucket", account_id="{ACCOUNT}", name="runs")
    """)
    for arguments in (("preview",), ("up", "--yes", "--skip-preview"), ("refresh", "--yes")):
        said = project.pulumi(*arguments).partition("Diagnostics:")[2]
        for package in ("cloudflare", "command"):
            assert f"{package}: trainstack's stand-in for the plugin, not the official one" in said


@pytest.mark.parametrize("scheme", ["--tracing=file:", "--otel-traces=file://"])
def test_an_update_that_is_traced_works_as_any_other(project: ScratchProject, scheme: str) -> None:
    """The engine names the trace's address to each plugin before its own; the last one is its."""
    project.program("""
        import pulumi_command as command
        command.local.Command("says", create="true")
    """)
    said = project.up(f"{scheme}{project.folder / 'trace'}")
    assert "2 created" in said
    assert "command: trainstack's stand-in" in said
    assert (project.folder / "trace").stat().st_size > 0


def test_a_command_that_fails_stops_the_update_with_what_it_said(project: ScratchProject) -> None:
    project.program("""
        import pulumi_command as command
        command.local.Command("check", create="echo the bucket refuses writes >&2; exit 3")
    """)
    said = project.up(status=1)
    assert "exit status 3" in said and "the bucket refuses writes" in said


def test_what_a_stand_in_does_not_know_is_refused_by_name(project: ScratchProject) -> None:
    project.program("""
        import pulumi

        class Raw(pulumi.CustomResource):
            def __init__(self, kind, version, **inputs):
                super().__init__(kind, "raw", inputs, pulumi.ResourceOptions(version=version))

        Raw("docker:index/image:Image", "5.2.0", imageName="localhost/a", build={"frob": 1}, hue=1)
    """)
    said = project.up(status=1)
    assert "does not know the inputs build.frob, hue" in said
    project.program("""
        import pulumi_cloudflare as cloudflare
        cloudflare.ZeroTrustOrganization("other")
    """)
    said = project.up(status=1)
    assert "has no cloudflare:index/zeroTrustOrganization:ZeroTrustOrganization" in said


def test_a_paid_stack_that_finds_a_stand_in_is_refused_by_it_and_it_can_be_deleted(
    project: ScratchProject, cloudflare: CloudflareDouble
) -> None:
    project.program(BUCKET_AND_TOKEN)
    project.up()
    sent = len(cloudflare.sent)
    for name in LOCAL_SHELL:
        del project.environment[name]
    for command in (("preview",), ("refresh", "--yes"), ("destroy", "--yes", "--skip-preview")):
        said = project.pulumi(*command, status=1)
        assert "trainstack's stand-in for the cloudflare plugin" in said
        assert "never a paid one" in said
    assert len(cloudflare.sent) == sent, "nothing was asked of the vendor"

    launcher = re.search(r"delete (/\S+),", said)
    assert launcher is not None
    Path(launcher[1]).unlink()
    assert "stand-in" not in project.pulumi("preview", status=1)


def test_a_killed_engine_leaves_no_plugin_and_no_command(project: ScratchProject) -> None:
    project.program("""
        import pulumi_command as command
        command.local.Command("slow", create="echo $$ > pid.new; mv pid.new pid; sleep 600")
    """)
    engine = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pid = project.folder / "pid"
    project.wait_until(pid.exists, "the command started")
    command = psutil.Process(int(pid.read_text()))
    plugin = command.parent()
    assert plugin is not None
    engine.kill()
    engine.wait()
    _, left = psutil.wait_procs([command, plugin], timeout=20)
    for process in left:
        process.kill()
    assert left == []
