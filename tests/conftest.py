"""What all tests share: one local cloud for those that need one, and its environment."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests import ROOT

if TYPE_CHECKING:
    from localcloud.place import Place

_IN_CLOUD = {"local_place", "local_world", "campaign"}
# Tests that run in the background ignore SIGINT, and so would what they start: a Ctrl-C that a test
# sends would be none. xdist runs tests in a process's main thread, as nobody else may set this.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A console takes the width that is set when it is made, for good; workers have one set.
os.environ.pop("COLUMNS", None)
# Drawn once, before there are workers: they must collect the same sample.
os.environ.setdefault("CAMPAIGN_SEED", str(random.randrange(100_000)))  # noqa: S311


def pytest_report_header() -> str:
    """Say what repeats the campaign's sample."""
    return f"CAMPAIGN_SEED={os.environ['CAMPAIGN_SEED']}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep modules together, and in one worker all that needs Docker: there is one local cloud."""
    for item in items:
        fixtures: list[str] = getattr(item, "fixturenames", [])
        in_cloud = item.get_closest_marker("docker") or _IN_CLOUD.intersection(fixtures)
        group = "local cloud" if in_cloud else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))
    names = Counter(item.nodeid for item in items)
    again = [name for name, count in names.items() if count > 1]
    if again:
        raise pytest.UsageError(f"tests of one name, of which a worker plays one: {again}")


@pytest.fixture(scope="session")
def local_place() -> Iterator[Place]:
    """Start a local cloud of the tests' own; yield where it is; stop it at the end.

    It lives beside the one of `make up` (`.local/tests`), so that neither disturbs the other; a
    campaign has one to itself, as it may run beside other tests, and so have plugins that are not
    the stand-ins: a stack has to stay on one set.
    """
    from localcloud import services
    from localcloud.pulumi.plugins.install import PROVIDERS

    folder = "campaign" if os.environ.get("CAMPAIGN") else "tests"
    folder = "official" if os.environ.get(PROVIDERS) else folder
    previous = os.environ.get("TRAINSTACK_LOCAL_DIR")
    os.environ["TRAINSTACK_LOCAL_DIR"] = str(ROOT / ".local" / folder)
    try:
        yield services.start(print)
    finally:
        services.stop(print)
        if previous is None:
            del os.environ["TRAINSTACK_LOCAL_DIR"]
        else:
            os.environ["TRAINSTACK_LOCAL_DIR"] = previous


@pytest.fixture(scope="session")
def local_world(local_place: Place) -> dict[str, str]:
    """Return the environment of the tests' local cloud, with the real engine and its plugins."""
    from localcloud import env_file
    from localcloud.pulumi import engine
    from localcloud.pulumi.plugins.install import install_plugins
    from localcloud.pulumi.stack import base_environment

    bin_dir = engine.ensure_engine(print)
    env = env_file.environment(local_place, base=base_environment())
    install_plugins(bin_dir / "pulumi", env)
    return env
