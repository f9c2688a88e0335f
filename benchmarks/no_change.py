"""A `pulumi up` that changes nothing, against an empty program with the same imports."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks.figures import ROOT, Figure, alternate, seconds_of
from benchmarks.world import local_world, pulumi, stack
from container.recipes.rehearsal import TEST_SETTINGS

ROUNDS = 5
UP = ("pulumi", "up", "--yes", "--skip-preview", "--non-interactive")
PROGRAM = """\
import sys
sys.path.insert(0, {root!r})
import components.artifact_store, components.run_image, components.training_run
"""


def measure(_cold: bool) -> list[Figure]:
    empty = Path(tempfile.mkdtemp(prefix="trainstack-empty-"))
    try:
        (empty / "Pulumi.yaml").write_text(
            "name: empty\nruntime: {name: python, options: {virtualenv: .venv}}\n"
        )
        (empty / "__main__.py").write_text(PROGRAM.format(root=str(ROOT)))
        (empty / ".venv").symlink_to(ROOT / ".venv")
        with (
            local_world() as env,
            stack(env, {"bucket": "trainstack-bench", "recipeSettings": TEST_SETTINGS}) as flags,
        ):
            pulumi(env, "stack", "select", "--create", "empty", cwd=empty)
            pulumi(env, "up", "--yes", "--skip-preview", *flags)
            ours, base = alternate(
                lambda: seconds_of([*UP, "--expect-no-changes", *flags], env=env),
                lambda: seconds_of(UP, env=env, cwd=empty),
                rounds=ROUNDS,
            )
            pulumi(env, "stack", "rm", "--yes", "--force", "--stack", "empty", cwd=empty)
    finally:
        shutil.rmtree(empty)
    return [
        Figure(
            "pulumi up without change",
            ours,
            "s",
            f"{ours / base:.2f} x an empty program with the same imports ({base:.2f} s); "
            "target 1.5 x",
        )
    ]
