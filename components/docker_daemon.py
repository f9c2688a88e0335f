"""Whether the Docker engine of this machine can build the image: asked of it, judged purely."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from components.errors import TrainstackError

ANSWER_WITHIN_S = 10
BINFMT = Path("/proc/sys/fs/binfmt_misc")

MENDED_IN = (27, 5)
"""https://github.com/moby/moby/pull/49178; https://github.com/moby/moby/issues/47717"""

_CONTAINERD = "io.containerd.snapshotter.v1"
_AMD64 = frozenset({"x86_64", "amd64"})
_EMULATES = ("Docker Desktop", "OrbStack")
"""Systems whose virtual machine runs amd64 programs by itself."""
_ELF_OF_AMD64 = "7f454c4602"
_MACHINE_OF_AMD64 = "3e00"


class DaemonRefusedError(TrainstackError):
    """The daemon cannot build the image, which is better said before it tries."""


Outcome = Literal["ok", "refused", "unknown"]


@dataclass(frozen=True, kw_only=True)
class DaemonFinding:
    """What is so, and what to do about it; `unknown` blocks nothing."""

    outcome: Outcome
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}" if self.remedy else self.what


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """What a daemon says of itself. `emulators`: None where its kernel cannot be looked at."""

    version: str
    store: str
    architecture: str
    system: str = ""
    emulators: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return f"Docker {self.version}, {self.store} store, {self.architecture}"


def look(env: Mapping[str, str] = os.environ) -> DaemonFinding:
    """Ask the daemon that the docker plugin would build with; never raises."""
    from docker import DockerClient
    from docker.errors import DockerException
    from requests import RequestException

    try:
        client = DockerClient.from_env(timeout=ANSWER_WITHIN_S, environment={**env})
        try:
            daemon = _described(client.version(), client.info())
        finally:
            client.close()
    except (DockerException, RequestException, OSError, ValueError):
        where = env.get("DOCKER_HOST") or "the usual socket"
        return DaemonFinding(
            outcome="unknown",
            what=f"no Docker engine answers at {where}, and an image that changed is built by one",
            remedy="Start it, or name another one in DOCKER_HOST: the docker plugin knows no "
            "`docker context`",
        )
    return judge(daemon)


def judge(daemon: Daemon) -> DaemonFinding:
    """Say whether a daemon can build an image for linux/amd64 and push it; pure."""
    return _of_store(daemon) or _of_architecture(daemon)


def _of_store(daemon: Daemon) -> DaemonFinding | None:
    version = _numbers(daemon.version)
    if daemon.store != "containerd" or version is None or version >= MENDED_IN:
        return None
    return DaemonFinding(
        outcome="refused",
        what=f"{daemon}: builds fail on this store with `failed to read downloaded context` "
        "before 27.5",
        remedy="Update Docker to 27.5 or later, or turn the containerd image store off: in Docker "
        "Desktop's settings, or `features: {containerd-snapshotter: false}` in "
        "/etc/docker/daemon.json",
    )


def _of_architecture(daemon: Daemon) -> DaemonFinding:
    if daemon.architecture in _AMD64:
        return DaemonFinding(outcome="ok", what=f"{daemon}: builds linux/amd64")
    if any(name in daemon.system for name in _EMULATES):
        return DaemonFinding(
            outcome="ok",
            what=f"{daemon}: builds linux/amd64 by emulation of {daemon.system}, slowly",
        )
    if daemon.emulators:
        return DaemonFinding(
            outcome="ok", what=f"{daemon}: builds linux/amd64 with {daemon.emulators[0]}, slowly"
        )
    unknown = daemon.emulators is None
    return DaemonFinding(
        outcome="unknown" if unknown else "refused",
        what=f"{daemon}: the image is for linux/amd64, and {'whether' if unknown else 'no'} "
        f"emulator of it is registered {'was not found out' if unknown else 'here'}",
        remedy="`docker run --privileged --rm tonistiigi/binfmt --install amd64` registers one "
        "until the next start; Debian's qemu-user-static for good",
    )


def emulators_of_amd64(folder: Path = BINFMT) -> tuple[str, ...]:
    """Return this kernel's interpreters of amd64 programs that work in a container as well."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(entry.name for entry in entries if _runs_amd64(entry))


def _runs_amd64(entry: Path) -> bool:
    if entry.name in {"register", "status"}:
        return False
    lines = entry.read_text(encoding="utf-8", errors="replace").splitlines()
    values: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(" ")
        values[name] = value
    magic = values.get("magic", "")
    return (
        "enabled" in values
        # Without F the interpreter would be looked for inside the container.
        and "F" in values.get("flags:", "")
        and magic.startswith(_ELF_OF_AMD64)
        and magic[36:40] == _MACHINE_OF_AMD64
    )


def _described(version: Mapping[str, Any], info: Mapping[str, Any]) -> Daemon:
    status = cast("list[list[object]]", info.get("DriverStatus") or [])
    same_kernel = platform.system() == "Linux" and info.get("KernelVersion") == platform.release()
    return Daemon(
        version=str(version.get("Version", "")),
        store="containerd"
        if any(_CONTAINERD in pair for pair in status)
        else str(info.get("Driver", "unknown")),
        architecture=str(info.get("Architecture", "")),
        system=str(info.get("OperatingSystem", "")),
        emulators=emulators_of_amd64() if same_kernel else None,
    )


def _numbers(version: str) -> tuple[int, int] | None:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None
