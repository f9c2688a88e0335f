"""The processes that a Pulumi command consists of, by the role that each plays in it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from tests.campaign_engine.faults import Role


def of_backends(folder: Path) -> list[psutil.Process]:
    """Return every process that works on a Pulumi backend below a folder, orphans too."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            backend = process.environ().get("PULUMI_BACKEND_URL", "").removeprefix("file://")
            if backend and Path(backend).is_relative_to(folder) and process.pid != os.getpid():
                found.append(process)
    return found


def kill(folder: Path, role: Role) -> list[Role]:
    """SIGKILL the processes of a role; return the roles of those that were hit."""
    hit: list[Role] = []
    for process in of_backends(folder):
        with suppress(psutil.Error):
            plays = role_of(process.name(), process.cmdline())
            if role in ("all", plays):
                process.kill()
                hit.append(plays)
    return hit


def interrupt(pid: int) -> None:
    """Send what Ctrl-C sends: SIGINT to the foreground process group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGINT)


def engines(folder: Path) -> list[psutil.Process]:
    """Return the living engines of the backends below a folder."""
    found: list[psutil.Process] = []
    for process in of_backends(folder):
        with suppress(psutil.Error):
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and role_of(process.name(), process.cmdline()) == "engine":
                found.append(process)
    return found


def role_of(name: str, command: list[str]) -> Role:
    """Tell what a process of a command is there for; "all" for one that plays no part of its own.

    A program that the engine starts through a shell has two processes of its role.
    """
    words = " ".join(command)
    if name == "pulumi":
        return "engine"
    if "pulumi.dynamic" in words or "pulumi-resource-pulumi-python" in words:
        return "provider"
    if "run_program.py" in words:
        return "program"
    if "language_host.py" in words or "pulumi-language-" in words:
        return "host"
    if "/plugins/start.py" in words or "pulumi-resource-" in words:
        return "plugin"
    return "all"
