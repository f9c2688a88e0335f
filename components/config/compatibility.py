"""Whether the keys of one run fit each other and its recipe; pure, no I/O.

What is refused here would else be found on the machine that is paid for, after minutes or hours.
"""

from __future__ import annotations

import json
from collections.abc import Set

from components.config.keys import AUTO, MAX_HOURS
from components.config.run_settings import RunSettings, TimedFor
from container.contract.recipe import (
    GPU_COUNTS,
    Recipe,
    SettingValue,
    is_one_of,
    load_recipe,
)
from container.contract.recipe_hours import LENGTH_SETTINGS

CPU = "CPU"
WITHOUT_FP8 = frozenset({"A100", "A40", "A10", "A6000", "V100", "T4", "3090"})
WITHOUT_FA3 = WITHOUT_FP8 | {"B200", "B300", "L40", "L40S", "L4", "4090", "5090"}
"""Most of nanochat has Flash Attention 3 on Hopper only; without it sliding windows are slow."""


def unfit(run: RunSettings, recipe: Recipe, *, where: str) -> list[str]:
    """Return one line for each pair of keys that do not fit; `where` begins the keys' names."""
    gpu = f"{where}gpuType = {json.dumps(run.gpu_type)}"
    if CPU in run.models and recipe.gpu_type != CPU:
        return [f"{gpu}: {recipe.name} needs GPUs, such as {recipe.gpu_type}"]
    if run.gpu_type != CPU and recipe.gpu_type == CPU:
        return [f"{gpu}: {recipe.name} trains on the processor, GPUs would idle; must be {CPU}"]
    problems = [*_batch_problems(run, recipe, where=where), *_hours_problems(run, recipe, where)]
    if recipe.gpu_type != CPU:
        problems += _attention_problems(run, recipe, gpu=gpu)
    return problems


def timed_for(recipe: Recipe, *, gpus: int) -> TimedFor:
    """Return what a recipe's figures hold for, with its settings' hours on so many GPUs."""
    hours = load_recipe(recipe.name).hours_with(recipe.values())
    if recipe.gpu_type == CPU:
        return TimedFor(gpu=CPU, hours=hours)
    return TimedFor(
        gpu=recipe.gpu_type,
        hours=hours * recipe.times_as_long(gpu_type=recipe.gpu_type, gpus=gpus),
        memory_gb=recipe.min_gpu_memory_bytes / 10**9,
    )


def _batch_problems(run: RunSettings, recipe: Recipe, *, where: str) -> list[str]:
    """nanochat stops with an assertion when a step is not a multiple of what the GPUs take."""
    gpus = run.gpus_per_container if recipe.gpu_type != CPU else 1
    if recipe.gpu_type != CPU and gpus not in GPU_COUNTS:
        text = f"{where}gpusPerContainer = {gpus}: must be 1, 2, 4 or 8, to share each step evenly"
        return [text]
    length, total = run.trained.get("max_seq_len"), run.trained.get("total_batch_size")
    if not isinstance(length, int) or not isinstance(total, int):
        return []
    batch = run.device_batch_size or recipe.device_batch_size
    key = f"{where}deviceBatchSize = {batch}"
    if total > 0 and total % (batch * length * gpus):
        text = (
            f"{key}: {batch} rows x {length} tokens x {gpus} devices do not divide a step of "
            f"{total} tokens (recipeSettings.total_batch_size)"
        )
        return [text]
    if total <= 0 and batch & (batch - 1):
        return [f"{key}: must be a power of two, as nanochat's steps are"]
    return []


def _hours_problems(run: RunSettings, recipe: Recipe, where: str) -> list[str]:
    """Of settings that change the length the offers tell, when a machine is chosen: one that an
    older release rented must not be refused for an estimate that it did not make.
    """
    timed = run.timed_for
    hours = timed.hours * min(timed.times_as_long(model) for model in run.models)
    if LENGTH_SETTINGS & run.recipe_settings.keys() or hours <= (run.duration_hours or MAX_HOURS):
        return []
    takes = f"{recipe.name} takes about {hours:.1f} h on {run.gpus_per_container} x {run.gpu_type}"
    if not run.duration_hours:
        takes += f", and at most {MAX_HOURS} are bought"
    return [f"{where}durationHours = {run.duration_hours or AUTO}: {takes}"]


def _attention_problems(run: RunSettings, recipe: Recipe, *, gpu: str) -> list[str]:
    wrong: dict[str, SettingValue] = {}
    if run.trained.get("fp8") is True and _is_any(run, WITHOUT_FP8):
        wrong["fp8"] = False
    held = recipe.nanochat.range_of(run.nanochat_commit) if recipe.nanochat else None
    hopper_only = held is not None and held.attention == "Hopper"
    slow = hopper_only and _is_any(run, WITHOUT_FA3)
    if slow and "S" in str(run.trained.get("window_pattern", "")):
        wrong["window_pattern"] = "L"
    if not wrong:
        return []
    return [f"{gpu}: cannot run {recipe.name} as it is; set recipeSettings {json.dumps(wrong)} too"]


def _is_any(run: RunSettings, families: Set[str]) -> bool:
    return any(is_one_of(model, families) for model in run.models)
