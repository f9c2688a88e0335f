"""What a failed build means, in our words; the daemon's are those of engines 20.10 to 28.5."""

from __future__ import annotations

import re

import pytest

from components.build_failure import explain
from tests import ROOT

BY_HAND = "docker build --target nanochat .image/context"


def told(*errors: str) -> str:
    return explain(errors, image="docker.io/a/b:c", by_hand=BY_HAND)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (
            "executor failed running [/bin/sh -c echo hi && exit 4]: exit code: 4",
            "its step `echo hi && exit 4` ended with exit code 4",
        ),
        (
            (
                'failed to solve: process "/bin/sh -c echo \\"hi\\" && exit 4" did not complete '
                "successfully: exit code: 4"
            ),
            'its step `echo "hi" && exit 4` ended with exit code 4',
        ),
        ("failed to solve: failed to read downloaded context", "containerd store is at fault"),
        ("write /var/lib/docker/x: no space left on device", "the disk of the Docker engine is"),
        ("denied: requested access to the resource is denied", "a registry refused"),
        ("unauthorized: authentication required", "a registry refused"),
        ("EOF\n: This error is most likely due to incorrect credentials", "a registry refused"),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?",
            "no Docker engine lets this user in",
        ),
        (
            "permission denied while trying to connect to the Docker daemon socket",
            "no Docker engine lets this user in",
        ),
        (
            (
                'failed to do request: Head "https://registry-1.docker.io/v2/x/manifests/1": '
                "dial tcp: lookup registry-1.docker.io: no such host"
            ),
            "base could not be fetched (https://registry-1.docker.io/v2/x/manifests/1)",
        ),
        (
            (
                "failed to solve: nosuch.example/a:b: failed to resolve source metadata for "
                "nosuch.example/a:b: dial tcp: lookup nosuch.example: no such host"
            ),
            "base could not be fetched (nosuch.example/a:b)",
        ),
        ('failed to compute cache key: "/absent" not found\nmore', '"/absent" not found. All'),
        ("", "no reason was given"),
    ],
)
def test_a_failed_build_is_told_in_one_sentence(error: str, meaning: str) -> None:
    """https://github.com/pulumi/pulumi-docker/issues/967 is how it reads else."""
    message = told(error)
    assert message.startswith("The image docker.io/a/b:c was not made: ")
    assert meaning in message
    assert message.endswith(f"`{BY_HAND}`")
    assert "failed to solve" not in message and "\n" not in message


def steps() -> list[str]:
    """Each RUN of the Dockerfile as the daemon repeats it: without its line ends."""
    text = (ROOT / "container/Dockerfile").read_text()
    found = re.findall(r"^RUN (.*?)(?<!\\)\n", text, re.DOTALL | re.MULTILINE)
    return [run.replace("\\\n", "") for run in found if "echo" in run]


@pytest.mark.parametrize("newer", [False, True], ids=["20.10", "28.5"])
def test_a_step_that_has_words_of_its_own_is_told_in_them(newer: bool) -> None:
    assert steps()
    for step in steps():
        quoted = re.sub(r'([\\"])', r"\\\1", step)
        message = told(
            f'process "/bin/sh -c {quoted}" did not complete successfully: exit code: 1'
            if newer
            else f"executor failed running [/bin/sh -c {step}]: exit code: 1"
        )
        assert re.search(r"was not made: (cannot|the base image has|this build)", message), message
        assert not re.search(r"exit code|RUN|[$\\]", message)


def test_an_error_shows_no_password_of_an_address() -> None:
    assert "PLANTED" not in told('Head "https://me:PLANTED@mirror.example/v2/a": no such host')
