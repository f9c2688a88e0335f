"""An image that cannot be built is said in one message: before it is tried, or after."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.components.test_docker_daemon import INFO, VERSION, daemon_double
from tests.unit.localcloud.pulumi.scratch_project import ScratchProject

pytestmark = pytest.mark.engine

PROGRAM = """
    from pathlib import Path
    from components.config.settings import ImageSettings
    from components.run_image import RunImage

    image = ImageSettings(
        server="127.0.0.1:1", repository="scratch/image", target="wanted", build_args={},
        username="", secret="",
    )
    RunImage("image", args=image, project=Path(__file__).resolve().parent)
"""
DOCKERFILE = """FROM scratch AS wanted
COPY missing /missing
"""


@pytest.fixture
def project(tmp_path: Path) -> ScratchProject:
    project = ScratchProject(tmp_path)
    project.program(PROGRAM)
    source = project.folder / "container"
    source.mkdir()
    (source / ".dockerignore").write_text("*\n!Dockerfile\n")
    (source / "Dockerfile").write_text(DOCKERFILE)
    return project


def test_an_engine_that_cannot_build_is_refused_before_it_is_asked_to(
    project: ScratchProject,
) -> None:
    """https://github.com/pulumi/pulumi-docker/issues/967 is found after the build began."""
    with daemon_double(VERSION, INFO) as address:
        project.environment["DOCKER_HOST"] = address
        previewed = project.pulumi("preview")
        assert "warning: The image may not be built: Docker 27.3.1, containerd store" in previewed
        said = project.up(status=1).partition("Diagnostics:")[2]
    assert "The image cannot be built: Docker 27.3.1, containerd store" in said
    assert "Update Docker to 27.5 or later" in said
    assert "Traceback" not in said and "failed to solve" not in said


def test_a_preview_tells_of_an_image_without_flash_attention(project: ScratchProject) -> None:
    program = PROGRAM.replace("build_args={}", "build_args={'FA3_REVISION': 'none'}")
    project.program(program)
    with daemon_double(VERSION, INFO) as address:
        project.environment["DOCKER_HOST"] = address
        assert "warning: The image has no Flash Attention 3: a Hopper" in project.pulumi("preview")


@pytest.mark.docker
def test_a_build_that_fails_is_told_in_one_message_whose_command_shows_all(
    project: ScratchProject,
) -> None:
    said = project.up(status=1).partition("Diagnostics:")[2]
    (told,) = re.findall(r"error: (The image \S+ was not made: .*)", said)
    assert '"/missing" not found' in told
    assert project.pulumi("destroy", "--yes", "--skip-preview")

    if shutil.which("docker") is None:
        pytest.skip("no docker command here to type what the message says")
    command = shlex.split(told.split("`")[1])
    typed = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
    assert typed.returncode != 0
    assert "missing" in typed.stdout + typed.stderr
    (project.folder / ".image/context/missing").write_text("")
    subprocess.run(command, cwd=project.folder, capture_output=True, check=True)
