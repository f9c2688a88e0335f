"""The docker stand-in under the real engine, with a real Docker engine and a real registry."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

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
        "FROM scratch AS wanted\nARG WHAT\nLABEL what=$WHAT\nCOPY content /content\n"
        "FROM no.such.registry/unwanted AS unwanted\n"
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
    assert "[unknown]" in project.pulumi("preview")
    said = project.up()
    assert "Step 1/4" in said and "pushed" in said
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


def test_wrong_credentials_are_told_before_a_build(project: ScratchProject) -> None:
    project.pulumi("config", "set", "--secret", "password", "PLANTED")
    said = project.up(status=1)
    assert "did not let" in said and "401" in said
    assert "Step 1" not in said and "PLANTED" not in said


def test_a_failed_build_shows_the_end_of_its_talk(project: ScratchProject) -> None:
    dockerfile = project.folder / "image" / "Dockerfile"
    dockerfile.write_text("FROM scratch AS wanted\nCOPY absent /absent\n")
    said = project.up(status=1).partition("Diagnostics:")[2]
    assert "COPY failed" in said and "Step 2/2 : COPY absent /absent" in said
