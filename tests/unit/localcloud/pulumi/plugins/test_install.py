"""How the stand-ins get into the local cloud's PULUMI_HOME, and that they say what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud.pulumi.plugins.install import (
    PLUGINS,
    PROVIDERS,
    PluginInstallError,
    install_plugins,
    launcher,
    providers_in,
)
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


INSTALLING = """#!/bin/sh
# `pulumi plugin install resource NAME VERSION --file FILE`: as the engine keeps it.
[ "$6" = --file ] || exit 1
there=$PULUMI_HOME/plugins/resource-$4-v$5
mkdir -p "$there" && rm -f "$there"/* && cp "$7" "$there/"
"""


def program(path: Path, text: str = "#!/bin/sh\n", *, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("layout", ["{program}", "resource-{name}-v{version}/{program}"])
def test_plugins_of_a_folder_are_taken_instead_of_the_stand_ins_and_only_while_it_is_named(
    tmp_path: Path, layout: str
) -> None:
    engine = program(tmp_path / "pulumi", INSTALLING)
    home = tmp_path / "home"
    for plugin in PLUGINS:
        name = f"pulumi-resource-{plugin.name}"
        where = layout.format(program=name, name=plugin.name, version=plugin.version)
        program(tmp_path / "given" / where, f"official {plugin.name}")
    stands_in = {"PULUMI_HOME": str(home), "PATH": "/usr/bin:/bin"}
    given = {**stands_in, PROVIDERS: str(tmp_path / "given")}
    names = [plugin.name for plugin in PLUGINS]

    def installed() -> set[bool]:
        return {"official" in path.read_text() for path in home.rglob("pulumi-resource-*")}

    for env, official in ((given, True), (stands_in, False), (given, True)):
        said: list[str] = []
        assert install_plugins(engine, env, said.append) == names
        assert installed() == {official}
        assert all(("stand-in" in line) != official for line in said)
        assert install_plugins(engine, env) == [], "once is enough"


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ((), "has no pulumi-resource-cloudflare (nor resource-cloudflare-v6.23.1/pulumi-"),
        (("cloudflare", "docker"), "has no pulumi-resource-command (nor"),
        (("cloudflare", "docker", "-command"), "no pulumi-resource-command that can be executed"),
    ],
)
def test_a_folder_without_all_plugins_is_refused_and_what_lacks_is_named(
    tmp_path: Path, there: tuple[str, ...], told: str
) -> None:
    for name in there:
        mode = 0o644 if name.startswith("-") else 0o755
        program(tmp_path / f"pulumi-resource-{name.removeprefix('-')}", mode=mode)
    with pytest.raises(PluginInstallError) as refused:
        providers_in(tmp_path)
    assert told in str(refused.value)
