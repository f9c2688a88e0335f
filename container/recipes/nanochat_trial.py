"""nanochat-trial: each stage of a paid run on one H100 in about 20 minutes; learns next to nothing.

The code paths are those of the large recipes: fp8, Flash Attention 3 with sliding windows, the CORE
evaluation, SFT, checkpoints every few steps. The 20 minutes are an estimate, most of it downloads
(800 MB of shards, the evaluation bundle) and compiling; nobody has run it on a GPU yet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from container.contract.recipe import Recipe
from container.contract.recipe_hours import Timing
from container.recipes import _nanochat

_SETTINGS: Final = {
    "num_iterations": 60,
    "total_batch_size": 32_768,
    "shards": 8,
    "tokenizer_chars": 200_000_000,
    "save_every": 20,
    "eval_every": 20,
    "core_max_per_task": 5,
    "sft_iterations": 40,
    "eval_problems": 8,
}

RECIPE: Final[Recipe] = replace(
    _nanochat.gpu_recipe(
        depth=4, hours=0.35, base_hours=0.1, device_batch_size=16, disk_gb=20, **_SETTINGS
    ),
    name="nanochat-trial",
    title="nanochat, 4 layers, on one H100: a first paid run",
    gpus=1,
    # What d20's pace makes of so few tokens: the minutes are downloads and compiling.
    timing=Timing(base_hours=0.0001, sft_batch_tokens=16 * 2048),
)
