"""What is told after an engine that was killed, typed into the real engine.

The resource of these programs waits in its creation, as a rental does.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from components.ionet import engine_watchdog
from components.ionet.rental import rent
from tests import ROOT
from tests.remedies.scan import told_in
from tests.unit.localcloud.pulumi.scratch_project import ScratchProject

pytestmark = pytest.mark.engine

WAITING = """
    import os, time
    from pulumi.dynamic import CreateResult, Resource, ResourceProvider

    class Rental(ResourceProvider):
        def create(self, props):
            open({began!r}, "w").close()
            while not os.path.exists({may_end!r}):
                time.sleep(0.02)
            return CreateResult("machine", props)

    class Machine(Resource):
        def __init__(self):
            super().__init__(Rental(), "machine", {{"run": "main"}})

    Machine()
"""


@pytest.fixture
def interrupted(tmp_path: Path) -> Iterator[ScratchProject]:
    """A stack whose engine was killed while it created its resource."""
    project = ScratchProject(tmp_path)
    began, may_end = tmp_path / "began", tmp_path / "may_end"
    project.program(WAITING.format(began=str(began), may_end=str(may_end)))
    with subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as engine:
        project.wait_until(began.exists, "the creation has begun")
        left = psutil.Process(engine.pid).children(recursive=True)
        engine.kill()
    may_end.touch()
    yield project
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()  # nothing of this program ends with its engine


def commands_told_by(module: str, words: str) -> list[list[str]]:
    (told,) = [
        one.text
        for one in told_in(ROOT / f"{module.replace('.', '/')}.py", module=module)
        if words in one.text
    ]
    found = re.findall(r"`?pulumi ((?:cancel|up|refresh)(?: --[a-z-]+)*)`?", told)
    return [one.split() for one in found]


def test_an_engine_that_was_killed_leaves_a_lock_which_the_told_commands_open(
    interrupted: ScratchProject,
) -> None:
    up, cancel = commands_told_by(engine_watchdog.__name__, "has ended in")
    assert (up, cancel) == (["up"], ["cancel"])
    assert "locked" in interrupted.up(status=1)
    interrupted.pulumi(*cancel, "--yes")
    interrupted.up()


def test_what_is_told_with_an_adopted_machine_ends_the_warning_of_an_interrupted_creation(
    interrupted: ScratchProject,
) -> None:
    (refresh,) = commands_told_by(rent.__name__, "adopted deployment")
    interrupted.pulumi("cancel", "--yes")
    assert "interrupted while creating" in interrupted.up()
    assert "interrupted while creating" in interrupted.up()
    interrupted.pulumi(*refresh, "--skip-preview")
    assert "interrupted while creating" not in interrupted.up("--expect-no-changes")
