"""What a bare container finds out by itself: the GPUs that it has, and what it trains on them.

The program says all of it to the machines that it rents.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from container.contract.environment import NAMES, BadEnvironmentError, RunEnvironment
from container.contract.recipe import (
    GPU_COUNTS,
    Recipe,
    RecipeError,
    apply_settings,
    commit_misfit,
    load_recipe,
)
from container.supervisor.machine_check import Gpu, list_gpus


def is_bare(env: Mapping[str, str]) -> bool:
    """Whether nobody rented this container for a run: the program always says which GPUs."""
    return not env.get(NAMES["gpu_type"])


def as_found(environment: RunEnvironment, *, say: Callable[[str], object]) -> RunEnvironment:
    """Return the environment with what this machine has; raises BadEnvironmentError.

    A model that is kept to be talked with gets a token, which only this container's log tells.
    """
    if environment.keep_alive and not environment.access_token:
        environment = replace(environment, access_token=secrets.token_hex(16))
        say(f"trainstack: the token that opens the chat is {environment.access_token}\n")
    try:
        recipe = apply_settings(load_recipe(environment.recipe), environment.settings)
    except RecipeError as error:
        if environment.prefix:
            return environment  # the verdict under that prefix will say so
        raise BadEnvironmentError(str(error)) from None
    if misfit := commit_problem(recipe, commit=environment.nanochat_commit):
        raise BadEnvironmentError(misfit)
    return with_gpus(environment, recipe, list_gpus() or [])


def commit_problem(recipe: Recipe, *, commit: str) -> str:
    """Return why a recipe cannot run with the nanochat of this image, "" when it can.

    Found after the data had come, it would have cost the first minutes of a machine, or hours.
    """
    if not commit or not (wrong := commit_misfit(recipe, commit)):
        return ""
    return (
        f"this image's nanochat, {commit}: {wrong}. Take an image that was built with "
        f"--build-arg NANOCHAT_COMMIT={recipe.nanochat_commit}, or another RECIPE"
    )


def with_gpus(environment: RunEnvironment, recipe: Recipe, gpus: Sequence[Gpu]) -> RunEnvironment:
    """Return the environment with these GPUs, none where the recipe is for the processor."""
    if recipe.gpu_type == "CPU":
        return environment
    if not gpus:
        raise BadEnvironmentError(
            f"{recipe.name} needs GPUs, and nvidia-smi shows none here. Start the container with "
            "them (`docker run --gpus all`), or set RECIPE to one for the processor: nanochat-cpu"
        )
    if len(gpus) not in GPU_COUNTS:
        raise BadEnvironmentError(
            f"{len(gpus)} GPUs are here; {recipe.name} shares its steps evenly among 1, 2, 4 or 8. "
            "Start the container with as many (`docker run --gpus 4`)"
        )
    return replace(environment, gpu_type=gpus[0].model, gpus_per_container=len(gpus))
