"""`make test-official`: the whole line with the provider plugins of a folder, or a refusal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from localcloud.pulumi.plugins.install import PLUGINS, PROVIDERS, launcher
from tests import ROOT

ONE = "test_a_revoked_run_token_opens_nothing_any_more"


def make(*variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "test-official", *variables],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "PROVIDERS"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("variables", [(), ("PROVIDERS=",), ("PROVIDERS=  ",)])
def test_without_a_folder_it_says_what_to_give(variables: tuple[str, ...]) -> None:
    done = make(*variables)
    assert done.returncode != 0
    assert "PROVIDERS is not set: set PROVIDERS to a folder that has pulumi-resource" in done.stderr
    assert "passed" not in done.stdout


def test_a_folder_that_lacks_a_plugin_is_refused_by_its_name(tmp_path: Path) -> None:
    for plugin in PLUGINS[1:]:
        file = tmp_path / f"pulumi-resource-{plugin.name}"
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    done = make(f"PROVIDERS={tmp_path}")
    assert done.returncode != 0
    assert f"{tmp_path} has no pulumi-resource-{PLUGINS[0].name}" in done.stderr
    assert "Set PROVIDERS to a folder that has" in done.stderr


@pytest.mark.e2e
@pytest.mark.engine
@pytest.mark.docker
@pytest.mark.timeout(900)
@pytest.mark.skipif(PROVIDERS in os.environ, reason="it is what runs here")
def test_the_tests_run_with_the_plugins_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    for plugin in PLUGINS:
        file = folder / f"pulumi-resource-{plugin.name}"
        mark = f": >'{tmp_path / plugin.name}.started'\nexec "
        file.write_text(launcher(plugin).replace("exec ", mark))
        file.chmod(0o755)
    done = make(f"PROVIDERS={folder}", f"PYTEST_ARGS=-q -p no:cacheprovider -k {ONE}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    started = {path.stem for path in tmp_path.glob("*.started")}
    assert started == {plugin.name for plugin in PLUGINS}
