"""What the doctor says is to be done about each finding is done; then the finding is another."""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.env_file import write_env_file
from localcloud.place import load_place
from runs import checks
from runs.source.selector import Selector
from runs.source.source import Source
from tests import ROOT
from tests.unit.components.test_docker_daemon import INFO, VERSION, daemon_double
from tests.unit.components.vendor_double import Vendor
from tests.unit.runs.pulumi_double import PulumiDouble
from tests.unit.runs.test_checks import Answer, server
from tests.unit.runs.test_remedies import PREFIX, run
from tests.unit.runs.typed import typed

REAL_R2 = "https://acc.r2.cloudflarestorage.com"


@pytest.fixture
def pulumi(tmp_path: Path) -> PulumiDouble:
    return PulumiDouble(tmp_path)


def shell(script: str, folder: Path, **environ: str) -> dict[str, str]:
    """Type lines in a shell that stops at the first that fails; return its environment."""
    done = subprocess.run(
        ["bash", "-ec", f"{script}\nenv -0"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (one.partition("=") for one in done.stdout.split("\0") if one)
    return {name: value for name, _, value in pairs}


def world(environ: dict[str, str]) -> checks.Finding:
    return checks.judge_world(environ, directory_exists=lambda path: Path(path).is_dir())


@pytest.mark.parametrize(
    ("before", "what"),
    [
        ("unset TRAINSTACK_LOCAL_CLOUD", "set without TRAINSTACK_LOCAL_CLOUD"),
        ("unset R2_ENDPOINT_URL", "R2_ENDPOINT_URL is not set"),
        (f"export R2_ENDPOINT_URL={REAL_R2}", "R2_ENDPOINT_URL leads to the internet"),
        ("export TRAINSTACK_LOCAL_CLOUD=/gone", "the folder of TRAINSTACK_LOCAL_CLOUD is gone"),
    ],
)
def test_a_shell_that_is_half_in_the_local_world_is_in_it_after_the_source_that_is_told(
    tmp_path: Path, before: str, what: str
) -> None:
    write_env_file(load_place(tmp_path / ".local"))  # as `make up` does before anything else
    environ = shell(f"source .local/env; {before}", tmp_path)
    found = world(environ)
    assert (found.outcome, what in found.what) == ("refused", True)
    (remedy,) = re.findall(r"source \.local/env", found.remedy)
    after = world(shell(remedy, tmp_path, **environ))
    assert (after.outcome, after.what.startswith("local")) == ("ok", True)


@pytest.mark.parametrize("sourced", [True, False], ids=["left by a source", "set by hand"])
def test_a_shell_with_addresses_and_no_mark_is_in_the_real_world_once_they_are_unset(
    tmp_path: Path, sourced: bool
) -> None:
    """`trainstack_leave`, which was told, is no command in a shell that never sourced the file."""
    write_env_file(load_place(tmp_path / ".local"))
    before = "source .local/env; unset TRAINSTACK_LOCAL_CLOUD" if sourced else ":"
    by_hand = {} if sourced else {"R2_ENDPOINT_URL": "http://127.0.0.1:9"}
    environ = shell(before, tmp_path, **by_hand)
    found = world(environ)
    assert "unset them" in found.remedy
    names = found.what.partition(" set without")[0].replace(",", "")
    assert world(shell(f"unset {names}", tmp_path, **environ)).what.startswith("real")


@pytest.mark.parametrize(
    ("cloud", "before", "remedy"),
    [
        ("io.net", "source .local/env", "trainstack_leave"),
        ("local", ":", "source .local/env"),
    ],
)
def test_a_shell_of_the_other_world_than_its_stack_changes_over_as_it_is_told(
    tmp_path: Path, cloud: str, before: str, remedy: str
) -> None:
    write_env_file(load_place(tmp_path / ".local"))
    found = checks.judge_stack_world(shell(before, tmp_path), cloud=cloud)
    assert found.outcome == "refused"
    assert f"run `{remedy}`" in found.remedy
    after = shell(f"{before}\n{remedy}", tmp_path)
    assert checks.judge_stack_world(after, cloud=cloud).outcome == "ok"


def test_a_cloudflare_token_that_is_missing_is_set() -> None:
    def verify(path: str, _: dict[str, str]) -> Answer:
        return 200, {}, {"success": True, "result": {"id": "t1", "status": "active"}}

    def finding(url: str, **environ: str) -> checks.Finding:
        base = {
            "CLOUDFLARE_BASE_URL": url,
            "CLOUDFLARE_ACCOUNT_ID": "acc",
            "IONET_BASE_URL": url,
            "R2_ENDPOINT_URL": url,
            "REGISTRY_SERVER": url[7:],
        }
        source = Source(Selector(bucket="b"), environ={**base, **environ})
        return {one.check: one for one in checks.findings(source)}["Cloudflare token"]

    with server(verify) as url:
        missing = finding(url)
        (variable,) = re.findall(r"neither (\w+)", missing.what)
        assert (missing.outcome, "or set a token" in missing.remedy) == ("refused", True)
        assert finding(url, **{variable: "token"}).outcome == "ok"


def typed_at(remedy: str, pulumi: PulumiDouble, *answers: str) -> None:
    """Type the `pulumi` commands of a remedy; a secret's value is asked for on stdin."""
    for command in re.findall(r"`(pulumi [^`]+)`", remedy):
        words = [answers[0] if word == "NAME" else word for word in shlex.split(command)]
        subprocess.run(
            [*words, "--stack", "dev"],
            env={"PATH": pulumi.path},
            cwd=ROOT,
            input=answers[-1],
            text=True,
            check=True,
        )


def test_a_registry_that_refuses_lets_in_after_the_commands_that_are_told(
    pulumi: PulumiDouble,
) -> None:
    right = "Basic " + base64.b64encode(b"u:right").decode()

    def answer(_: str, headers: dict[str, str]) -> Answer:
        return (200 if headers.get("authorization") == right else 401), {}, {}

    pulumi.stack()
    with server(answer) as url:
        environ = {"PATH": pulumi.path, "REGISTRY_SERVER": url[7:]}

        def finding() -> checks.Finding:
            return checks._registry(Source(Selector(stack="dev"), environ=environ))

        refused = finding()
        assert refused.outcome == "refused"
        typed_at(refused.remedy, pulumi, "u", "right\n")
        assert finding().outcome == "ok"


def test_what_is_wrong_with_a_docker_daemon_is_told_with_its_remedy(pulumi: PulumiDouble) -> None:
    """A failed build names the doctor; on a newer engine the same finding is ok."""
    pulumi.stack()

    def finding(address: str) -> checks.Finding:
        environ = {"PATH": pulumi.path, "DOCKER_HOST": address}
        source = Source(Selector(stack="dev"), environ=environ)
        return {one.check: one for one in checks.findings(source)}["Docker engine"]

    with daemon_double(VERSION, INFO) as address:
        refused = finding(address)
    assert refused.outcome == "refused" and "27.3.1, containerd store" in refused.what
    assert "Update Docker to 27.5" in refused.remedy
    with daemon_double({**VERSION, "Version": "27.5.0"}, INFO) as address:
        assert finding(address).outcome == "ok"
        assert finding("tcp://127.0.0.1:1").outcome == "unknown"


def test_a_wandb_key_that_is_refused_is_replaced_by_the_command_that_is_told(
    pulumi: PulumiDouble,
) -> None:
    """`take wandbRun away`, which was told too, changed nothing about the key."""
    pulumi.stack(secrets={checks.WANDB_KEY: "dead"})

    def finding(status: int, body: object) -> checks.Finding:
        wandb = Vendor()
        wandb.will(status, body)
        environ = {"PATH": pulumi.path, "WANDB_BASE_URL": wandb.url}
        found = checks._wandb(Source(Selector(stack="dev"), environ=environ))
        wandb.stop()
        return found

    refused = finding(401, {})
    assert refused.outcome == "refused"
    typed_at(refused.remedy, pulumi, "a-live-key\n")
    assert finding(200, {"data": {"viewer": {"id": "x"}}}).outcome == "ok"
    assert pulumi.secrets("dev") == ["a-live-key"]


def test_a_machine_that_does_not_answer_is_told_of_by_the_status_that_is_named(
    pulumi: PulumiDouble,
) -> None:
    pulumi.stack(outputs={"bucket": "b", "r2_prefix": PREFIX, "status_url": "http://127.0.0.1:9"})
    target = SimpleNamespace(run="main", status_url="http://127.0.0.1:9")
    source: Any = SimpleNamespace(targets=[target])
    (found,) = checks._machines(source)
    assert found.outcome == "unknown"
    (command,) = re.findall(r"python -m runs ([^`]+)", found.remedy)
    environ = {"PATH": f"{pulumi.path}:{os.environ.get('PATH', '')}"}
    ended = typed(run(), *command.split(), "--stack", "dev", environ=environ)
    assert (ended.code, "succeeded" in ended.out) == (0, True), ended.err
