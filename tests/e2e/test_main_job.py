"""The whole line with the real engine: up, train, verify, no change, refresh, destroy."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import requests

from components.ionet.client import Client
from container.contract.records import Manifest, Verdict
from tests.e2e.run_in_cloud import NewStack, mine, read, wait_for
from tests.e2e.scratch_stack import ROOT, Cloud, CommandFailedError, ScratchStack

pytestmark = [pytest.mark.e2e, pytest.mark.engine, pytest.mark.docker, pytest.mark.timeout(900)]


def only(cloud: Cloud, stack: ScratchStack) -> str:
    """The name of the stack's only token."""
    (name,) = [name for name in cloud.tokens() if stack.name in name]
    return name


def metrics_of(s3: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    listing = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/metrics/")
    return [
        json.loads(line)
        for found in listing.get("Contents", [])
        for line in read(s3, bucket, found["Key"]).splitlines()
    ]


def ask(outputs: dict[str, Any], question: str) -> str:
    """Ask the finished model, which is loaded when the verdict is written."""

    def answer() -> requests.Response:
        return requests.post(
            f"{outputs['status_url']}/v1/chat/completions",
            headers={"Authorization": f"Bearer {outputs['access_token']}"},
            json={"messages": [{"role": "user", "content": question}], "max_tokens": 24},
            timeout=120,
        )

    wait_for(lambda: answer().status_code != 503, what="the model is served")
    found = answer()
    assert found.status_code == 200, found.text
    text: str = found.json()["choices"][0]["message"]["content"]
    return text


def containers_of(deployment_id: str) -> list[str]:
    label = f"label=trainstack.deployment={deployment_id}"
    command = ["docker", "ps", "--all", "--quiet", "--filter", label]
    return subprocess.check_output(command, text=True).split()


def test_a_run_trains_lands_in_the_bucket_and_is_given_back(
    new_stack: NewStack, cloud: Cloud
) -> None:
    stack = new_stack(keepAlive=True)
    stack.up()
    outputs = stack.outputs()
    bucket, prefix = outputs["bucket"], outputs["r2_prefix"]
    assert {
        "deployment_id",
        "r2_prefix",
        "bucket",
        "image",
        "status_url",
        "estimated_cost_usd",
    } <= (outputs.keys())
    assert "@sha256:" in outputs["image"]
    assert len(mine(cloud, stack)) == 1

    stack.refresh("--expect-no-changes")

    watched = stack.runs("watch")
    assert watched.returncode == 0, watched.stdout + watched.stderr

    s3 = cloud.operator_s3()
    verdict = Verdict.from_json(read(s3, bucket, f"{prefix}/verdict.json"))
    assert (verdict.outcome, verdict.exit_code) == ("succeeded", 0)
    manifest = Manifest.from_json(read(s3, bucket, f"{prefix}/manifest.json"))
    kinds = {artifact.key.split("/")[0] for artifact in manifest.artifacts}
    assert {"checkpoints", "tokenizer", "report", "logs", "metrics"} <= kinds
    for artifact in manifest.artifacts:
        stored = read(s3, bucket, f"{prefix}/{artifact.key}")
        assert (len(stored), hashlib.sha256(stored).hexdigest()) == (
            artifact.size_bytes,
            artifact.sha256,
        ), artifact.key

    losses = [
        m["loss"] for m in metrics_of(s3, bucket, prefix) if m["stage"] == "base" and "loss" in m
    ]
    assert losses[-1] < losses[0] - 1.0

    assert ask(outputs, "What is a string?").strip()

    stack.up("--expect-no-changes")
    stack.refresh("--expect-no-changes")

    farewell = stack.destroy()
    assert f"s3://{bucket}/{prefix}" in farewell
    assert mine(cloud, stack) == []
    assert [name for name in cloud.tokens() if stack.name in name] == []
    assert read(s3, bucket, f"{prefix}/verdict.json")
    assert containers_of(outputs["deployment_id"]) == []


def test_an_engine_killed_while_it_rents_leaves_one_machine_which_the_next_up_adopts(
    new_stack: NewStack, cloud: Cloud
) -> None:
    stack = new_stack()
    up = subprocess.Popen(
        stack.command("up", "--yes", "--skip-preview"),
        cwd=ROOT,
        env=stack.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: len(mine(cloud, stack)) == 1, what="a machine is rented")
    finally:
        up.send_signal(signal.SIGKILL)
        up.wait()
    rented = mine(cloud, stack)

    stack.pulumi("cancel", "--yes")
    stack.up()

    assert mine(cloud, stack) == rented
    stack.destroy()
    assert mine(cloud, stack) == []


def test_a_second_stack_adopts_a_bucket_that_is_there_and_destroy_keeps_it(
    new_stack: NewStack, cloud: Cloud
) -> None:
    bucket = "trainstack-shared"
    first = new_stack(bucket=bucket)
    first.up()
    s3 = cloud.operator_s3()
    s3.put_object(Bucket=bucket, Key="precious", Body=b"kept")

    second = new_stack(bucket=bucket)
    second.up()
    assert first.outputs()["r2_prefix"] != second.outputs()["r2_prefix"]
    first.destroy()
    second.destroy()

    assert read(s3, bucket, "precious") == b"kept"


def test_a_typo_in_a_hyperparameter_is_mended_on_the_same_machine_without_a_second_charge(
    new_stack: NewStack, cloud: Cloud
) -> None:
    settings = {"depth": 2, "num_iterations": 100_000}
    stack = new_stack(recipeSettings=settings)
    stack.up()
    before = stack.outputs()
    client = Client(stack.env["IOCLOUD_API_KEY"], base_url=stack.env["IONET_BASE_URL"])
    charged = client.deployment(before["deployment_id"]).amount_paid_usd

    stack.configure(recipeSettings={**settings, "depth": 3})
    planned = stack.preview()
    assert "main: depth 2 -> 3: the same machine starts again, from the start" in planned
    assert "no charge" in planned
    told = stack.up()
    assert "trains on the same machine" in told

    after = stack.outputs()
    assert after["deployment_id"] == before["deployment_id"]
    assert after["r2_prefix"] != before["r2_prefix"]
    assert len(mine(cloud, stack)) == 1
    assert client.deployment(after["deployment_id"]).amount_paid_usd == charged
    record = read(cloud.operator_s3(), after["bucket"], f"{after['r2_prefix']}/run.json")
    assert json.loads(record)["settings"]["depth"] == 3
    stack.up("--expect-no-changes")
    stack.refresh("--expect-no-changes")


def test_a_machine_that_is_replaced_by_force_is_given_back_before_another_is_rented(
    new_stack: NewStack, cloud: Cloud
) -> None:
    """The new one adopted the old machine by its name, and deleting "the old one" gave it back."""
    stack = new_stack(recipeSettings={"num_iterations": 100_000})
    stack.up()
    before = stack.outputs()

    stack.up("--replace", "**CaasDeployment::main-deployment")

    after = stack.outputs()
    assert after["deployment_id"] != before["deployment_id"]
    assert after["r2_prefix"] == before["r2_prefix"]
    assert len(mine(cloud, stack)) == 1
    stack.refresh("--expect-no-changes")


def test_a_run_that_is_renewed_goes_on_with_new_credentials_on_the_same_machine(
    new_stack: NewStack, cloud: Cloud
) -> None:
    """Declared, so that the same number again makes no third token."""
    stack = new_stack(recipeSettings={"num_iterations": 100_000})
    stack.up()
    before, token = stack.outputs(), only(cloud, stack)

    stack.configure(renew=1)
    told = stack.up()

    after = stack.outputs()
    assert after["deployment_id"] == before["deployment_id"]
    assert after["r2_prefix"] == before["r2_prefix"]
    assert only(cloud, stack) == f"{token}-1"
    assert len(mine(cloud, stack)) == 1
    assert "main: renew 0 -> 1: the same machine starts again and goes on from" in told
    stack.up("--expect-no-changes")

    # Pulumi's own provider fails for good on a token that is gone already.
    cloud.revoke(f"{token}-1")
    stack.destroy()
    assert mine(cloud, stack) == []
    assert [name for name in cloud.tokens() if stack.name in name] == []


def test_a_machine_that_somebody_deleted_is_rented_anew_by_a_plain_update(
    new_stack: NewStack, cloud: Cloud
) -> None:
    """Seen: 0, "unchanged", and a dead address, while `watch` promised that it resumes."""
    stack = new_stack(recipeSettings={"num_iterations": 100_000})
    stack.up()
    before = stack.outputs()
    Client(stack.env["IOCLOUD_API_KEY"], base_url=stack.env["IONET_BASE_URL"]).delete(
        before["deployment_id"]
    )
    wait_for(lambda: mine(cloud, stack) == [], what="the machine has ended")

    planned = stack.preview()
    assert "has ended before its hours were over. It is rented anew" in planned
    assert "rents CPU in US at $0.40/h x 1 h = $0.40 + 2.25 % fees = $0.41" in planned
    assert "this run cost $0.41 so far" in planned

    stack.up()
    after = stack.outputs()
    assert after["deployment_id"] != before["deployment_id"]
    assert after["r2_prefix"] == before["r2_prefix"]
    assert len(mine(cloud, stack)) == 1
    stack.up("--expect-no-changes")


def test_a_sweep_gives_one_entry_a_run(new_stack: NewStack, cloud: Cloud) -> None:
    stack = new_stack(
        runs={"shallow": {"recipeSettings": {"depth": 1}}, "deep": {"recipeSettings": {"depth": 2}}}
    )
    stack.up()
    outputs = stack.outputs()
    for name in ("deployment_id", "r2_prefix", "status_url", "estimated_cost_usd"):
        assert outputs[name].keys() == {"shallow", "deep"}
    assert len(set(outputs["deployment_id"].values())) == 2
    assert len(mine(cloud, stack)) == 2


def test_all_bad_values_are_told_at_once_before_anyone_is_called(
    new_stack: NewStack, cloud: Cloud
) -> None:
    stack = new_stack(gpuTypo="H100", durationHours=0, bucket="NO", recipe="nanochat-d99")
    with pytest.raises(CommandFailedError) as failed:
        stack.up()
    told = str(failed.value)
    for key in ("gpuTypo", "durationHours", "bucket", "recipe"):
        assert f"trainstack:{key}" in told
    assert "Traceback" not in told
    assert mine(cloud, stack) == []


def test_planted_secrets_appear_in_no_output_log_or_plain_state(
    new_stack: NewStack, tmp_path: Path
) -> None:
    stack = new_stack()
    stack.env = {**stack.env, "PULUMI_DEBUG_COMMANDS": "true"}  # it shows the next flag
    events = tmp_path / "events.json"
    talk = stack.up("--event-log", str(events)) + stack.preview("--diff") + events.read_text()
    state = stack.pulumi("stack", "export")
    outputs = stack.outputs()
    planted = [
        stack.env["IOCLOUD_API_KEY"],
        stack.env["CLOUDFLARE_API_TOKEN"],
        stack.env["REGISTRY_SECRET"],
        outputs["access_token"],
    ]
    page = requests.get(outputs["status_url"], timeout=30).text
    logs = "".join(
        path.read_text(errors="replace")
        for path in Path(stack.env["TRAINSTACK_LOCAL_CLOUD"]).glob("log/*.log")
    )
    for secret in planted:
        for place, text in {"talk": talk, "state": state, "page": page, "logs": logs}.items():
            assert secret not in text, f"a secret stands in the {place}"


def test_the_env_file_leaves_the_local_world_as_it_entered_it(local_world: dict[str, str]) -> None:
    env_file = Path(local_world["TRAINSTACK_LOCAL_CLOUD"]) / "env"
    shown = subprocess.run(
        ["sh", "-c", f". '{env_file}'; trainstack_leave; env"],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not re.search(r"^(TRAINSTACK|PULUMI|IONET|CLOUDFLARE|R2|REGISTRY)_", shown, re.M)
    assert re.search(r"^PATH=/usr/bin:/bin$", shown, re.M)


def test_a_revoked_run_token_opens_nothing_any_more(new_stack: NewStack, cloud: Cloud) -> None:
    stack = new_stack()
    stack.up()
    (container,) = containers_of(stack.outputs()["deployment_id"])
    inspected = json.loads(subprocess.check_output(["docker", "inspect", container]))
    env = dict(pair.split("=", 1) for pair in inspected[0]["Config"]["Env"])
    s3 = cloud.s3(key_id=env["R2_ACCESS_KEY_ID"], secret=env["R2_SECRET_ACCESS_KEY"])
    s3.put_object(Bucket=env["R2_BUCKET"], Key="probe", Body=b"")

    stack.destroy()

    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.put_object(Bucket=env["R2_BUCKET"], Key="probe", Body=b"")
    assert refused.value.response.get("Error", {}).get("Code") in {
        "AccessDenied",
        "InvalidAccessKeyId",
    }
