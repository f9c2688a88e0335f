"""`python -m benchmarks.paced_supervisor`: the real supervisor, on a recipe of paced stand-ins.

The stages are ordered and overlapped as in the nanochat recipes; sizes come from the environment.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from container.contract.environment import RunEnvironment
from container.contract.recipe import Recipe, Stage, Upload
from container.supervisor.supervisor import Supervisor
from container.system.stop import with_signals

FIRST_SHARDS = 8  # what the tokenizer reads
SAVES = 8  # of base training; the recipes save about every 25 minutes or more often


def recipe(env: dict[str, str]) -> Recipe:
    """Return the recipe; all sizes are in the environment that the guide's script reads too."""
    base_steps = int(env["BASE_STEPS"])
    return Recipe(
        name="paced",
        title="paced stand-ins",
        tag="d20",
        settings={},
        expected_hours=1.0,
        disk_bytes=1,
        device_batch_size=1,
        stages=(
            _stage("data", "data", str(FIRST_SHARDS)),
            replace(_stage("shards", "data", env["SHARDS"]), needed_by="base"),
            replace(
                _stage("tokenizer", "tokenizer", env["TOKENIZER_S"]),
                uploads=(Upload(local="tokenizer", key="tokenizer", kind="file"),),
            ),
            _training("base", "base_checkpoints", env, saves=base_steps // SAVES),
            _training("sft", "chatsft_checkpoints", env, saves=-1),
        ),
    )


def _stage(name: str, *words: str) -> Stage:
    argv = ("{python}", "-m", "benchmarks.paced_nanochat", *words)
    where = {"NANOCHAT_BASE_DIR": "{workdir}"}
    return Stage(name=name, argv=argv, env=where, time_limit_s=3600, retries=0)


def _training(name: str, folder: str, env: dict[str, str], *, saves: int) -> Stage:
    upper = name.upper()
    words = (f"--steps={env[f'{upper}_STEPS']}", f"--step-s={env['STEP_S']}")
    words += (f"--size-bytes={env[f'{upper}_BYTES']}", f"--save-every={saves}")
    return replace(
        _stage(name, "train", folder, *words),
        progress="nanochat",
        uploads=(Upload(local=folder, key=f"checkpoints/{name}", kind="checkpoint"),),
    )


def main() -> int:
    """Run it as the image's entry does."""
    supervisor = Supervisor(
        replace(RunEnvironment.from_env(os.environ), traffic_port=0),
        process_env=dict(os.environ),
        recipe=recipe(dict(os.environ)),
    )
    return with_signals(supervisor.run, on_signal=supervisor.request_stop)


if __name__ == "__main__":
    sys.exit(main())
