"""nanochat-d24: upstream's speedrun, 1.4B parameters, 5.84B tokens in 5,568 steps of 1.1 s.

Upstream: 1.65 h of training steps on eight H100 (2026-03-14), without download, compile,
evaluations and SFT, for which about 0.9 h is added here. A full step is 10 GB.
"""

from __future__ import annotations

from typing import Final

from container.contract.recipe import Recipe
from container.recipes import _nanochat

RECIPE: Final[Recipe] = _nanochat.gpu_recipe(
    depth=24,
    hours=2.5,
    base_hours=1.65,
    device_batch_size=16,  # 32 ran out of memory: upstream b19b4f3
    disk_gb=80,
    target_param_data_ratio=8.0,
    shards=170,
    save_every=500,  # every 9 minutes
)
