"""How the stand-ins get into the local cloud's PULUMI_HOME, and that they say what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.pulumi.plugins.install import PLUGINS, PluginInstallError, install_plugins, launcher
from tests import ROOT


def test_plugins_are_never_installed_into_the_usual_home() -> None:
    with pytest.raises(PluginInstallError, match="PULUMI_HOME is not set"):
        install_plugins("pulumi", {})


def test_an_engine_that_refuses_a_plugin_is_quoted(tmp_path: Path) -> None:
    engine = tmp_path / "pulumi"
    engine.write_text("#!/bin/sh\necho 'the disk is full' >&2\nexit 1\n")
    engine.chmod(0o755)
    with pytest.raises(PluginInstallError, match="the disk is full"):
        install_plugins(engine, {"PULUMI_HOME": str(tmp_path / "home")})


def test_stand_ins_say_what_they_are_on_their_first_line() -> None:
    for plugin in PLUGINS:
        assert "stand-in" in launcher(plugin).splitlines()[1].lower()
        source = ROOT / "localcloud/pulumi/plugins" / f"{plugin.module}.py"
        assert source.read_text().startswith(f'"""A stand-in for the {plugin.name} plugin')
        assert f'VERSION = "{plugin.version}"' in source.read_text()
