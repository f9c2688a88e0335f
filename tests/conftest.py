"""What all tests share: markers by folder, and one local cloud for those that need it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def local_world() -> Iterator[dict[str, str]]:
    """Start a local cloud of the tests' own; yield its environment; stop it at the end.

    It lives beside the one of `make up` (`.local/tests`), so that neither disturbs the other.
    """
    from localcloud import engine, env_file, services
    from localcloud.place import load_place
    from localcloud.plugins.install import install_plugins
    from localcloud.stack import base_environment

    previous = os.environ.get("TRAINSTACK_LOCAL_DIR")
    os.environ["TRAINSTACK_LOCAL_DIR"] = str(ROOT / ".local" / "tests")
    try:
        bin_dir = engine.ensure_engine(print)
        services.start(print)
        env = env_file.environment(load_place(), base=base_environment())
        install_plugins(bin_dir / "pulumi", env)
        yield env
    finally:
        services.stop(print)
        if previous is None:
            del os.environ["TRAINSTACK_LOCAL_DIR"]
        else:
            os.environ["TRAINSTACK_LOCAL_DIR"] = previous
