"""Getting the tools: warm by default; with `--cold` in empty caches, which builds the engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.figures import ROOT, Figure, seconds_of


def measure(cold: bool) -> list[Figure]:
    """Time `setup.sh` and the engine, in this checkout and, when asked, in a fresh clone."""
    env = dict(os.environ)
    figures = [
        Figure("bootstrap, warm: environment", seconds_of(["./setup.sh"], env=env), "s"),
        Figure("bootstrap, warm: engine", seconds_of(_engine(ROOT), env=env), "s"),
    ]
    return figures + (_cold() if cold else [])


def _cold() -> list[Figure]:
    folder = Path(tempfile.mkdtemp(prefix="trainstack-cold-"))
    clone = folder / "clone"
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "GOPATH": str(folder / "go")}
    env |= {"GOCACHE": str(folder / "go-build"), "UV_CACHE_DIR": str(folder / "uv")}
    try:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        return [
            Figure(
                "bootstrap, cold: environment", seconds_of(["./setup.sh"], env=env, cwd=clone), "s"
            ),
            Figure("bootstrap, cold: engine", seconds_of(_engine(clone), env=env, cwd=clone), "s"),
        ]
    finally:
        # Go's modules are read-only, and only root deletes from a folder that is.
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=False)
        shutil.rmtree(folder)


def _engine(root: Path) -> list[str]:
    return [str(root / ".venv/bin/python"), "-m", "localcloud.pulumi.engine", "install"]
