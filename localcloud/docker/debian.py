"""Debian packages for what the local cloud needs: installed as root, or unpacked into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from localcloud.errors import LocalCloudError
from localcloud.file_lock import alone
from localcloud.place import cache_folder

INSTALL_TIMEOUT_S = 900
# Somebody else's apt-get may be at work: wait for it.
_WAIT = ("-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")


def can_install() -> bool:
    """Tell whether packages can be installed here: apt-get and root."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def install(*packages: str) -> None:
    """Install packages with apt-get; updates the package lists first when a package is unknown.

    Raises LocalCloudError with apt-get's last lines.
    """
    if not can_install():
        raise LocalCloudError(
            f"{' '.join(packages)} is needed and cannot be installed from here: that takes root "
            f"and apt-get. Install it yourself (Debian: sudo apt-get install {' '.join(packages)})"
        )
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *_WAIT, *packages]
    if _apt(command) is None:
        return
    _apt(["apt-get", "update", "-q", *_WAIT])
    output = _apt(command)
    if output is not None:
        raise LocalCloudError(
            f"apt-get could not install {' '.join(packages)}:\n{_tail(output)}\n"
            "Check the network and /etc/apt, or install it yourself"
        )


def unpack(package: str, folder: Path) -> None:
    """Unpack one package's files into a folder, touching nothing else; no root needed.

    For a package that would start a service of its own when installed. `folder` appears whole or
    not at all.
    """
    with tempfile.TemporaryDirectory(dir=_with_parent(folder).parent, prefix=".unpack-") as scratch:
        command = ["apt-get", "download", "-q", *_WAIT, package]
        output = _apt(command, cwd=scratch)
        if output is not None and os.geteuid() == 0:
            _apt(["apt-get", "update", "-q", *_WAIT])
            output = _apt(command, cwd=scratch)
        if output is not None:
            raise LocalCloudError(
                f"apt-get could not download {package}:\n{_tail(output)}\n"
                f"Check the network and /etc/apt, or install {package} yourself"
            )
        archive = next(Path(scratch).glob("*.deb"))
        subprocess.run(["dpkg-deb", "-x", archive, f"{scratch}/root"], check=True)
        Path(f"{scratch}/root").chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        Path(f"{scratch}/root").rename(folder)


def _apt(command: list[str], cwd: str | None = None) -> str | None:
    """Run apt-get; return None when it worked, else what it said.

    One at a time for this user: apt-get waits for dpkg's lock, but not for that of its lists.
    """
    with alone(cache_folder() / "apt.lock"):
        return _run(command, cwd=cwd)


def _run(command: list[str], *, cwd: str | None) -> str | None:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return "this machine has no apt-get"
    except subprocess.TimeoutExpired:
        return f"it did not end in {INSTALL_TIMEOUT_S} s"
    return None if done.returncode == 0 else done.stdout


def _tail(output: str, lines: int = 8) -> str:
    return "\n".join(f"  {line}" for line in output.strip().splitlines()[-lines:])


def _with_parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
