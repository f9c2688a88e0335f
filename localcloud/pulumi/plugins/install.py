"""Installs the stand-in plugins, or others that are given, into the local cloud's PULUMI_HOME."""

import filecmp
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from container.contract.redacted import RedactedError
from localcloud.pulumi.plugins.resource import LAUNCHER


@dataclass(frozen=True)
class Plugin:
    """A provider plugin that the program asks for, and the module that stands in for it."""

    name: str
    version: str
    """Exactly what the Python SDK of the package asks the engine for."""
    module: str


PLUGINS = (
    Plugin("cloudflare", "6.23.1", "cloudflare_plugin"),
    Plugin("docker", "5.2.0", "docker_plugin"),
    Plugin("command", "1.2.1", "command_plugin"),
)


PROVIDERS = "TRAINSTACK_PROVIDERS"
"""The variable that names a folder with plugins to install instead of the stand-ins."""


class PluginInstallError(RedactedError):
    """The engine did not take a plugin; the message has what it said."""


def install_plugins(
    pulumi: Path | str, env: Mapping[str, str], report: Callable[[str], None] | None = None
) -> list[str]:
    """Install what is missing or has changed; return the names of what was installed.

    `env` names the PULUMI_HOME that they go to. What is installed is a launcher that names this
    checkout and its interpreter, so a change of a plugin's code needs no new installation; or the
    programs of the folder that `env` names in TRAINSTACK_PROVIDERS.
    """
    home = env.get("PULUMI_HOME")
    if not home:
        raise PluginInstallError(
            "PULUMI_HOME is not set, and stand-ins must never land in the usual one (~/.pulumi), "
            "where paid stacks would find them. Name a folder of the local cloud's own."
        )
    given = providers_in(Path(env[PROVIDERS])) if env.get(PROVIDERS) else {}
    installed: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        for plugin in PLUGINS:
            program = given.get(plugin.name) or _launcher_in(Path(temporary), plugin)
            if _install(plugin, program, str(pulumi), dict(env), Path(home)):
                installed.append(plugin.name)
                what = f"{program} for" if given else "the stand-in for"
                if report is not None:
                    report(f"plugins: installed {what} {plugin.name} {plugin.version}")
    return installed


def providers_in(folder: Path) -> dict[str, Path]:
    """Return the program of each provider in the folder, which may be Pulumi's own for plugins.

    Raises PluginInstallError when one is missing.
    """
    found: dict[str, Path] = {}
    missing: list[str] = []
    for plugin in PLUGINS:
        program = f"pulumi-resource-{plugin.name}"
        places = (folder / program, folder / _folder_of(plugin) / program)
        there = next((place for place in places if place.is_file()), None)
        if there is None:
            missing.append(f"{program} (nor {_folder_of(plugin)}/{program})")
        elif not os.access(there, os.X_OK):
            missing.append(f"{program} that can be executed")
        else:
            found[plugin.name] = there
    if missing:
        raise PluginInstallError(f"{folder} has no {', no '.join(missing)}.")
    return found


def launcher(plugin: Plugin) -> str:
    """Return the executable that the engine starts in place of the plugin."""
    start = Path(__file__).with_name("start.py")
    python = shlex.quote(sys.executable)
    return (
        "#!/bin/sh\n"
        f"# A stand-in for the {plugin.name} plugin {plugin.version}: trainstack's local cloud.\n"
        f'{LAUNCHER}=$0 exec {python} -I {shlex.quote(str(start))} {plugin.module} "$@"\n'
    )


def _launcher_in(folder: Path, plugin: Plugin) -> Path:
    file = folder / f"pulumi-resource-{plugin.name}"
    file.write_text(launcher(plugin))
    file.chmod(0o755)
    return file


def _folder_of(plugin: Plugin) -> str:
    """Return where the engine keeps it, below its folder for plugins."""
    return f"resource-{plugin.name}-v{plugin.version}"


def _install(plugin: Plugin, program: Path, pulumi: str, env: dict[str, str], home: Path) -> bool:
    folder = home / "plugins" / _folder_of(plugin)
    installed = folder / program.name
    # The engine leaves this mark beside a plugin whose installation was interrupted.
    whole = not folder.with_name(f"{folder.name}.partial").exists()
    if whole and installed.exists() and filecmp.cmp(installed, program, shallow=False):
        return False
    command = [pulumi, "plugin", "install", "resource", plugin.name, plugin.version]
    done = subprocess.run(
        [*command, "--file", str(program), "--reinstall", "--non-interactive"],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )
    if done.returncode != 0:
        raise PluginInstallError(
            f"`pulumi plugin install resource {plugin.name} {plugin.version}` failed:\n"
            f"{done.stderr.strip() or done.stdout.strip()}"
        )
    return True
