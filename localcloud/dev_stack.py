"""Stack dev in the local cloud: what a `pulumi` needs before it can be typed in this world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from localcloud import env_file
from localcloud.place import CHECKOUT, Place
from localcloud.pulumi.plugins.install import install_plugins
from localcloud.pulumi.stack import Stack, base_environment


def dev_stack(place: Place) -> Stack:
    """Return the stack with the local world's whole environment; asks nobody."""
    return Stack(CHECKOUT, env=env_file.environment(place, base=base_environment()))


def ready_stack(place: Place, engine_folder: Path, report: Callable[[str], None]) -> Stack:
    """Return the stack once the stand-in plugins are installed and the backend knows it.

    Raises PluginInstallError or StackError.
    """
    stack = dev_stack(place)
    install_plugins(engine_folder / "pulumi", stack.env, report)
    if not stack.exists():
        stack.select()
    return stack
