"""nanochat-d32: 2.8B parameters, 13.4B tokens.

Hours are computed from upstream's d24 by parameters x tokens (8.7 h), plus about 1.3 h; nobody has
published this size with the May 2026 recipe. A full step is 20.5 GB. nanochat picks 1M or 2M tokens
a step close to a rounding edge, so a step takes 2.5 or 5 s.
"""

from __future__ import annotations

from typing import Final

from container.contract.recipe import Recipe
from container.recipes import _nanochat

RECIPE: Final[Recipe] = _nanochat.gpu_recipe(
    depth=32,
    hours=10.0,
    base_hours=8.7,
    device_batch_size=8,  # upstream's table: 8 from 28 layers on
    disk_gb=150,
    target_param_data_ratio=8.0,
    shards=380,
    save_every=200,  # every 8 to 16 minutes
)
