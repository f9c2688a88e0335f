"""The docker stand-in under the real engine, with a real Docker engine and a real registry."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests.unit.localcloud.pulumi.scratch_project import ScratchProject

pytestmark = [pytest.mark.engine, pytest.mark.docker]

PROGRAM = """
    import os
    import pulumi, pulumi_command as command, pulumi_docker as docker

    config = pulumi.Config()
    server = os.environ["REGISTRY_SERVER"]
    image = docker.Image(
        "image",
        image_name=f"{server}/scratch/THIS_TEST:latest",
        build=docker.DockerBuildArgs(
            context="image",
            dockerfile="image/Dockerfile",
            args={"WHAT": config.get("what") or "nothing"},
            target="wanted",
            platform="linux/amd64",
        ),
        registry=docker.RegistryArgs(
            server=server,
            username=os.environ["REGISTRY_USERNAME"],
            password=config.require_secret("password"),
        ),
    )
    user = command.local.Command("user", create=image.repo_digest.apply(lambda d: f"echo {d}"))
    pulumi.export("digest", image.repo_digest)
"""


@pytest.fixture
def name() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def project(tmp_path: Path, local_world: dict[str, str], name: str) -> Iterator[ScratchProject]:
    registry = {key: local_world[key] for key in ("REGISTRY_SERVER", "REGISTRY_USERNAME")}
    project = ScratchProject(tmp_path, **registry)
    project.program(PROGRAM.replace("THIS_TEST", name))
    project.pulumi("config", "set", "--secret", "password", local_world["REGISTRY_SECRET"])
    context = project.folder / "image"
    context.mkdir()
    (context / "content").write_text("one")
    (context / "Dockerfile").write_text(
        "FROM no.such.registry/unwanted AS unwanted\n"
        "FROM scratch AS wanted\nARG WHAT\nLABEL what=$WHAT\nCOPY content /content\n"
    )
    try:
        yield project
    finally:
        client = docker.from_env()
        for image in client.images.list(f"{registry['REGISTRY_SERVER']}/scratch/{name}", all=True):
            client.images.remove(image.id or "", force=True)


def test_an_image_is_built_pushed_and_built_again_when_its_content_changes(
    project: ScratchProject, local_world: dict[str, str], name: str
) -> None:
    """With BuildKit: the stage before the target, which nobody could pull, is not built."""
    assert "[unknown]" in project.pulumi("preview")
    said = project.up()
    assert "[wanted 1/1] COPY content" in said and "pushed" in said
    assert "docker: trainstack's stand-in for the plugin, not the official one" in said
    first = project.output("digest")
    assert first.startswith(f"{local_world['REGISTRY_SERVER']}/scratch/{name}@sha256:")
    assert local_world["REGISTRY_SECRET"] not in project.everything_kept() + said
    project.up("--expect-no-changes")
    project.refresh("--expect-no-changes")

    (project.folder / "image" / "content").write_text("two")
    assert "2 to update" in project.pulumi("preview")
    project.up()
    second = project.output("digest")
    project.pulumi("config", "set", "what", "something")
    project.up()
    assert len({first, second, project.output("digest")}) == 3
    labels = docker.from_env().images.get(project.output("digest")).labels
    assert labels == {"what": "something"}
    project.pulumi("destroy", "--yes", "--skip-preview")


def image_in_state(project: ScratchProject) -> dict[str, Any]:
    state = json.loads(project.pulumi("stack", "export", "--show-secrets"))
    return next(
        one for one in state["deployment"]["resources"] if one["type"].endswith("image:Image")
    )


def test_the_state_of_an_image_is_that_of_the_official_plugin(
    project: ScratchProject, local_world: dict[str, str], name: str
) -> None:
    """Its inputs lie together and encrypted; https://github.com/pulumi/pulumi-docker/issues/715."""
    project.up()
    assert local_world["REGISTRY_SECRET"] not in project.everything_kept()
    outputs = image_in_state(project)["outputs"]
    assert outputs.keys() == {
        "__inputs",
        "baseImageName",
        "context",
        "dockerfile",
        "imageName",
        "platform",
        "registryServer",
        "repoDigest",
    }
    assert outputs["platform"] in ("linux/amd64", "linux/arm64")
    kept = json.loads(outputs["__inputs"]["plaintext"])
    assert {"build", "imageName", "registry"} <= kept.keys()
    assert kept["registry"]["password"] == local_world["REGISTRY_SECRET"]
    assert len(kept["build"]["contextDigest"]) == 64


def test_another_mode_is_another_image_and_a_lost_one_is_not_noticed(
    project: ScratchProject, local_world: dict[str, str]
) -> None:
    """https://github.com/pulumi/pulumi-docker-build/pull/979: the whole mode counts."""
    project.up()
    (project.folder / "image" / "content").chmod(0o664)
    assert "image" in project.pulumi("preview", "--expect-no-changes", status=1)
    (project.folder / "image" / "content").chmod(0o644)
    project.up("--expect-no-changes")

    digest = project.output("digest")
    gone = requests.delete(
        f"http://{digest.replace('/', '/v2/', 1).replace('@', '/manifests/')}",
        auth=(local_world["REGISTRY_USERNAME"], local_world["REGISTRY_SECRET"]),
        timeout=30,
    )
    project.refresh("--expect-no-changes")
    project.up("--expect-no-changes")
    assert gone.status_code in (202, 405), "405: this registry deletes nothing"


def test_a_private_base_is_pulled_with_the_login_that_the_session_gives(
    project: ScratchProject, local_world: dict[str, str]
) -> None:
    project.up()
    base = project.output("digest")
    client = docker.from_env()
    for tag in client.images.get(base).tags:
        client.images.remove(tag, force=True)
    dockerfile = project.folder / "image" / "Dockerfile"
    dockerfile.write_text(f"FROM {base} AS wanted\nLABEL on=base\n")
    project.up()
    labels = client.images.get(project.output("digest")).labels
    assert labels["on"] == "base"


def test_wrong_credentials_are_told_before_a_build(project: ScratchProject) -> None:
    project.pulumi("config", "set", "--secret", "password", "PLANTED")
    said = project.up(status=1)
    assert "did not let" in said and "401" in said
    assert "COPY content" not in said and "PLANTED" not in said


def test_a_failed_build_shows_the_end_of_its_talk(project: ScratchProject) -> None:
    dockerfile = project.folder / "image" / "Dockerfile"
    dockerfile.write_text("FROM scratch AS wanted\nCOPY absent /absent\n")
    said = project.up(status=1).partition("Diagnostics:")[2]
    assert '"/absent" not found' in said and "[1/1] COPY absent /absent" in said


def test_another_builder_is_refused_by_name(project: ScratchProject) -> None:
    program = project.folder / "__main__.py"
    program.write_text(
        program.read_text().replace('target="wanted"', 'builder_version="BuilderV1"')
    )
    assert "builderVersion of image is BuilderV1" in project.up(status=1)
