"""Which of the stack's config a provider gets, under the real engine; session.py tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.config.one_run import sweep_of
from tests.unit.localcloud.pulumi.scratch_project import ScratchProject

pytestmark = pytest.mark.engine

TELLING = """
    from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

    class Rental(ResourceProvider):
        serialize_as_secret_always = False

        def configure(self, request):
            self.key = request.config.get("scratch:key")
            self.runs = request.config.get("scratch:runs")

        def tell(self, what):
            with open({told!r}, "a") as file:
                print(what, self.runs or self.key, file=file)

        def create(self, props):
            self.tell("create")
            return CreateResult("machine", props)

        def diff(self, *_):
            self.tell("diff")
            return DiffResult(changes=False)

        def delete(self, *_):
            self.tell("delete")

    class Machine(Resource):
        def __init__(self):
            super().__init__(Rental(), "machine", {{}})

    Machine()
"""


def test_a_key_that_is_set_after_an_update_reaches_the_next_one_and_no_destroy(
    tmp_path: Path,
) -> None:
    """`pulumi config set` was told as the remedy of a refused key: `destroy` went on being refused.

    So the environment is what is told.
    """
    told = tmp_path / "told"
    project = ScratchProject(tmp_path)
    project.program(TELLING.format(told=str(told)))
    for key in ("first", "second"):
        project.pulumi("config", "set", "--secret", "key", key)
        project.up()
    project.pulumi("config", "set", "--secret", "key", "third")
    project.pulumi("destroy", "--yes", "--skip-preview")
    assert told.read_text().splitlines() == ["create first", "diff second", "delete second"]


def test_the_runs_of_a_sweep_reach_the_update_as_json(tmp_path: Path) -> None:
    """By them the provider knows whose config keys a message is about."""
    told = tmp_path / "told"
    project = ScratchProject(tmp_path)
    project.program(TELLING.format(told=str(told)))
    project.pulumi("config", "set", "--path", "runs.big.renew", "1")
    project.up()
    assert sweep_of(told.read_text().removeprefix("create ")) == {"big"}
