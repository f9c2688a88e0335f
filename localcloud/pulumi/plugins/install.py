"""Installs the stand-in plugins into a PULUMI_HOME of the local cloud's own."""

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


class PluginInstallError(RedactedError):
    """The engine did not take a plugin; the message has what it said."""


def install_plugins(
    pulumi: Path | str, env: Mapping[str, str], report: Callable[[str], None] | None = None
) -> list[str]:
    """Install what is missing or has changed; return the names of what was installed.

    `env` names the PULUMI_HOME that they go to. What is installed is a launcher that names this
    checkout and its interpreter, so a change of a plugin's code needs no new installation.
    """
    home = env.get("PULUMI_HOME")
    if not home:
        raise PluginInstallError(
            "PULUMI_HOME is not set, and stand-ins must never land in the usual one (~/.pulumi), "
            "where paid stacks would find them. Name a folder of the local cloud's own."
        )
    installed: list[str] = []
    for plugin in PLUGINS:
        if _install(plugin, str(pulumi), dict(env), Path(home)):
            installed.append(plugin.name)
            if report is not None:
                report(f"plugins: installed the stand-in for {plugin.name} {plugin.version}")
    return installed


def launcher(plugin: Plugin) -> str:
    """Return the executable that the engine starts in place of the plugin."""
    start = Path(__file__).with_name("start.py")
    python = shlex.quote(sys.executable)
    return (
        "#!/bin/sh\n"
        f"# A stand-in for the {plugin.name} plugin {plugin.version}: trainstack's local cloud.\n"
        f'{LAUNCHER}=$0 exec {python} -I {shlex.quote(str(start))} {plugin.module} "$@"\n'
    )


def _install(plugin: Plugin, pulumi: str, env: dict[str, str], home: Path) -> bool:
    content = launcher(plugin)
    folder = home / "plugins" / f"resource-{plugin.name}-v{plugin.version}"
    installed = folder / f"pulumi-resource-{plugin.name}"
    # The engine leaves this mark beside a plugin whose installation was interrupted.
    whole = not folder.with_name(f"{folder.name}.partial").exists()
    if whole and installed.exists() and installed.read_text(errors="replace") == content:
        return False
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / f"pulumi-resource-{plugin.name}"
        file.write_text(content)
        file.chmod(0o755)
        command = [pulumi, "plugin", "install", "resource", plugin.name, plugin.version]
        done = subprocess.run(
            [*command, "--file", str(file), "--reinstall", "--non-interactive"],
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
