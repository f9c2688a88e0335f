"""nanochat-d20: 20 layers, 897M parameters, 5.2B tokens in about 4,980 steps of 0.6 s.

Hours are computed from upstream's 1.65 h for d24 on eight H100 by parameters x tokens (0.9 h of
base training), plus about 0.9 h for data, compile, evaluations and SFT. A full step is 6.6 GB.
"""

from __future__ import annotations

from typing import Final

from container.contract.recipe import Recipe
from container.recipes import _nanochat

RECIPE: Final[Recipe] = _nanochat.gpu_recipe(
    depth=20,
    hours=1.8,
    base_hours=0.9,
    device_batch_size=16,
    disk_gb=60,
    target_param_data_ratio=12.0,  # upstream's default: trained as long as its size deserves
    shards=160,
    save_every=1000,  # every 10 minutes
)
