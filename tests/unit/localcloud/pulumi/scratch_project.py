"""A small Pulumi project in a folder of its own, run by the real engine on a file backend."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from localcloud.pulumi.engine import ensure_engine
from localcloud.pulumi.plugins import install_plugins

LOCAL_SHELL = {
    "TRAINSTACK_LOCAL_CLOUD": "/somewhere/.local",
    "IONET_BASE_URL": "http://127.0.0.1:1",
    "CLOUDFLARE_BASE_URL": "http://127.0.0.1:1/client/v4",
    "R2_ENDPOINT_URL": "http://127.0.0.1:1",
}
"""What makes a shell one of the local world, whose stand-ins serve nowhere else."""


class ScratchProject:
    """Runs `pulumi` as a user would, with this checkout's engine, hosts and plugins."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self.state = folder / "state"
        self.state.mkdir()
        self.engine = ensure_engine()
        self.environment = {
            **os.environ,
            "PATH": f"{self.engine}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": self.state.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "scratch",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "TRAINSTACK_PYTHON": sys.executable,
            **LOCAL_SHELL,
            **environment,
        }
        install_plugins(self.engine / "pulumi", self.environment)
        (self.folder / "Pulumi.yaml").write_text("name: scratch\nruntime: python\n")
        self.pulumi("stack", "select", "--create", "dev")

    def program(self, text: str) -> None:
        """Replace the program."""
        (self.folder / "__main__.py").write_text(textwrap.dedent(text))

    def pulumi(self, *arguments: str, status: int = 0) -> str:
        """Run one command; return what it printed, both streams. It must end with the status."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        expected = done.returncode == 0 if status == 0 else done.returncode != 0
        assert expected, done.stdout
        return done.stdout

    def up(self, *flags: str, status: int = 0) -> str:
        return self.pulumi("up", "--yes", "--skip-preview", *flags, status=status)

    def refresh(self, *flags: str) -> str:
        return self.pulumi("refresh", "--yes", "--skip-preview", *flags)

    def output(self, name: str) -> str:
        return self.pulumi("stack", "output", "--show-secrets", name).strip()

    def everything_kept(self) -> str:
        """Return all that the state holds on disk, as text."""
        files = [path for path in self.state.rglob("*") if path.is_file()]
        return "\n".join(path.read_text(errors="replace") for path in files)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Look again and again until the condition holds; a minute at most."""
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, f"waited in vain until {what}"
            time.sleep(0.02)
