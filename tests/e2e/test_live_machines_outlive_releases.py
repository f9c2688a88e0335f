"""A stack made with the code of commit 6636e89, its machine rented and live, under today's code.

`stack_of_6636e89.json` is the state that that code left, exported from a rehearsal, with names,
addresses and keys as placeholders. The world that it tells of is made first: bucket, token, image,
and a machine rented with that code's environment.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from components.artifact_store import expiry
from components.ionet.client import Client
from components.ionet.models import DeployRequest
from components.r2.permissions import BUCKET_ITEM_WRITE
from localcloud.docker import daemon
from localcloud.pulumi.plugins.install import PROVIDERS
from tests import ROOT
from tests.e2e.run_in_cloud import NewStack, mine, wait_for
from tests.e2e.scratch_stack import ACCOUNT, Cloud, ScratchStack

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.engine,
    pytest.mark.docker,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        PROVIDERS in os.environ,
        reason="a stack stays on one set of providers: this state was made by the stand-ins",
    ),
]

STATE = ROOT / "tests/e2e/stack_of_6636e89.json"
SETTINGS = {"num_iterations": 100_000}


@dataclass(frozen=True, kw_only=True)
class Token:
    id: str
    value: str

    @property
    def secret_access_key(self) -> str:
        return hashlib.sha256(self.value.encode()).hexdigest()


def cloudflare(env: dict[str, str], path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = requests.post(
        f"{env['CLOUDFLARE_BASE_URL']}/accounts/{ACCOUNT}{path}",
        json=body,
        headers={"Authorization": f"Bearer {env['CLOUDFLARE_API_TOKEN']}"},
        timeout=30,
    )
    assert answer.ok, answer.text
    result: dict[str, Any] = answer.json()["result"]
    return result


def make_token(env: dict[str, str], name: str, *, bucket: str, expires_on: str) -> Token:
    resource = f"com.cloudflare.edge.r2.bucket.{ACCOUNT}_default_{bucket}"
    policy = {
        "effect": "allow",
        "permission_groups": [{"id": BUCKET_ITEM_WRITE}],
        "resources": {resource: "*"},
    }
    made = cloudflare(
        env, "/tokens", {"name": name, "policies": [policy], "expires_on": expires_on}
    )
    return Token(id=made["id"], value=made["value"])


def another_image(env: dict[str, str], image: str, folder: Path) -> str:
    """Push an image of another digest, as another release's is; return its digest."""
    login = {"username": env["REGISTRY_USERNAME"], "password": env["REGISTRY_SECRET"]}
    repository = image.partition("@")[0]
    (folder / "Dockerfile").write_text(f"FROM {image}\nLABEL release=6636e89\n")
    client = daemon.connect(timeout_s=300)
    try:
        client.images.pull(image, auth_config=login)
        client.images.build(
            path=str(folder), tag=f"{repository}:c8138bbf52740c28", rm=True, forcerm=True
        )
        pushed = client.images.push(
            repository, tag="c8138bbf52740c28", auth_config=login, stream=True, decode=True
        )
        digests = [line["aux"]["Digest"] for line in pushed if "Digest" in line.get("aux", {})]
    finally:
        client.close()
    return str(digests[-1])


def filled(text: str, values: dict[str, str]) -> dict[str, Any]:
    for name, value in values.items():
        text = text.replace(f"@{{{name}}}", value)
    assert "@{" not in text
    state: dict[str, Any] = json.loads(text)
    return state


def resource(state: dict[str, Any], name: str) -> dict[str, Any]:
    resources = state["deployment"]["resources"]
    return next(one for one in resources if one["urn"].endswith(f"::{name}"))


def rent(env: dict[str, str], inputs: dict[str, Any], token: Token) -> str:
    """Rent the machine of a state's inputs, with that release's environment."""
    client = Client(env["IOCLOUD_API_KEY"], base_url=env["IONET_BASE_URL"])
    rented = client.deploy(
        DeployRequest(
            private_name=inputs["privateName"],
            duration_hours=1,
            gpus_per_container=1,
            hardware_id=12,
            location_ids=(2,),
            image=inputs["image"],
            entrypoint=tuple(inputs["entrypoint"]),
            traffic_port=8000,
            env={**inputs["env"], "DURATION_HOURS": "1", "PRICE_USD_PER_HOUR": "0.4"},
            secret_env={
                "R2_ACCESS_KEY_ID": token.id,
                "R2_SECRET_ACCESS_KEY": token.secret_access_key,
                "ACCESS_TOKEN": "planted-chat-token",
            },
            registry_username=env["REGISTRY_USERNAME"],
            registry_secret=env["REGISTRY_SECRET"],
        )
    )
    assert rented is not None
    return rented


def address_of(env: dict[str, str], deployment_id: str) -> str:
    client = Client(env["IOCLOUD_API_KEY"], base_url=env["IONET_BASE_URL"])
    found: list[str] = []

    def beats() -> bool:
        found[:] = [worker.public_url for worker in client.workers(deployment_id)]
        try:
            return bool(found[0]) and requests.get(f"{found[0]}/status.json", timeout=5).ok
        except (IndexError, requests.RequestException):
            return False

    wait_for(beats, what="the older machine beats")
    return found[0]


@pytest.fixture
def old_stack(new_stack: NewStack, tmp_path: Path) -> Callable[[], tuple[ScratchStack, str]]:
    """Make the world of the stored state, and a stack that has it; return it and its machine."""

    def make() -> tuple[ScratchStack, str]:
        builder = new_stack(recipeSettings=SETTINGS)  # its image is today's
        builder.up()
        today = builder.outputs()["image"]
        builder.destroy()
        stack = new_stack(recipeSettings=SETTINGS)
        env, bucket = stack.env, f"trainstack-{stack.name}"
        cloudflare(env, "/r2/buckets", {"name": bucket, "storageClass": "Standard"})
        text = STATE.read_text()
        known = {
            "STACK": stack.name,
            "R2_ENDPOINT": env["R2_ENDPOINT_URL"],
            "MIRROR": env["DATASET_MIRROR_URL"],
            "REGISTRY": env["REGISTRY_SERVER"],
            "REGISTRY_SECRET": env["REGISTRY_SECRET"],
            "DIGEST": another_image(env, today, tmp_path),
            "ACCESS_TOKEN": "planted-chat-token",
            "EXPIRES_ON": expiry(datetime.now(UTC)),
        }
        unknown = dict.fromkeys(
            ("DEPLOYMENT", "TOKEN_ID", "TOKEN_VALUE", "SECRET_ACCESS_KEY", "STATUS_URL"), "?"
        )
        draft = filled(text, {**known, **unknown})
        made = resource(draft, "main-token")["outputs"]
        token = make_token(env, made["name"], bucket=bucket, expires_on=made["expiresOn"])
        deployment_id = rent(env, resource(draft, "main-deployment")["inputs"], token)
        state = filled(
            text,
            {
                **known,
                "DEPLOYMENT": deployment_id,
                "TOKEN_ID": token.id,
                "TOKEN_VALUE": token.value,
                "SECRET_ACCESS_KEY": token.secret_access_key,
                "STATUS_URL": address_of(env, deployment_id),
            },
        )
        file = tmp_path / "state.json"
        file.write_text(json.dumps(state))
        stack.pulumi("stack", "import", "--file", str(file))
        return stack, deployment_id

    return make


def plan(stack: ScratchStack) -> dict[str, str]:
    """What a preview would do: resource to operation, for all that does not stay the same."""
    found = json.loads(stack.pulumi("preview", "--json", stderr=False))
    steps = {step["urn"].rpartition("::")[2]: step["op"] for step in found["steps"]}
    return {name: op for name, op in steps.items() if op != "same"}


def paid(cloud: Cloud, deployment_id: str) -> object:
    client = Client(cloud.env["IOCLOUD_API_KEY"], base_url=cloud.env["IONET_BASE_URL"])
    return client.deployment(deployment_id).amount_paid_usd


def test_a_live_machine_of_an_older_release_is_kept_extended_and_given_back(
    old_stack: Callable[[], tuple[ScratchStack, str]], cloud: Cloud
) -> None:
    stack, deployment_id = old_stack()
    machines, charged = mine(cloud, stack), paid(cloud, deployment_id)
    assert len(machines) == 1

    # The image is built anew and the preflight runs again, both in place: nothing else.
    assert plan(stack) == {"image-build": "update", "main-preflight": "update"}
    assert "main: keeps the image that it was rented with" in stack.preview()

    stack.up()
    outputs = stack.outputs()
    assert outputs["deployment_id"] == deployment_id
    assert (mine(cloud, stack), paid(cloud, deployment_id)) == (machines, charged)
    stack.up("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    assert plan(stack) == {}

    stack.configure(durationHours=2)
    assert plan(stack) == {"main-deployment": "update"}
    stack.up()
    assert stack.outputs()["deployment_id"] == deployment_id
    assert plan(stack) == {}

    assert "machine given back" in stack.destroy()
    assert mine(cloud, stack) == []
    assert [name for name in cloud.tokens() if stack.name in name] == []
