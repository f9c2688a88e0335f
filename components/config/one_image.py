"""Whether the runs of a stack can share its one image; pure.

An image has one target, one commit of nanochat, and PyTorch for GPUs or for processors.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.config.compatibility import CPU
from components.config.keys import PROJECT_NAMESPACE
from container.contract.recipe import Recipe, commit_misfit

REHEARSAL = "rehearsal"
COMMIT_KEY = f"{PROJECT_NAMESPACE}:nanochatCommit"
SHARED = f"{PROJECT_NAMESPACE}:runs: the runs of one stack share one image"


def target(recipe: Recipe) -> str:
    """Return the target of the Dockerfile that a recipe runs in."""
    return REHEARSAL if recipe.name == REHEARSAL else "nanochat"


def extra(recipe: Recipe) -> str:
    """Return which of nanochat's two sets of packages a recipe needs: PyTorch for what it is."""
    return "cpu" if recipe.gpu_type == CPU else "gpu"


def unbuildable(recipes: Mapping[str, Recipe], *, commit: str) -> list[str]:
    """Return one line for each reason why no image serves all runs.

    `recipes` by run; `commit` is what the stack asks for, "" for what each recipe is written for.
    """
    if len({target(recipe) for recipe in recipes.values()}) > 1:
        text = f"{SHARED}; put rehearsal and nanochat recipes into different stacks"
        return [text]
    if len({extra(recipe) for recipe in recipes.values()}) > 1:
        alone = " and ".join(run for run, recipe in recipes.items() if extra(recipe) == "cpu")
        text = (
            f"{SHARED}, which has PyTorch for GPUs or for processors; put {alone}, on {CPU}, into "
            "a stack of its own"
        )
        return [text]
    if commit:
        wrong = {one.name: commit_misfit(one, commit) for one in recipes.values()}
        end = "; an empty one takes the recipe's own"
        return [f"{COMMIT_KEY} = {commit}: {text}{end}" for text in wrong.values() if text]
    runs_by_commit: dict[str, list[str]] = {}
    for run, recipe in recipes.items():
        runs_by_commit.setdefault(recipe.nanochat_commit, []).append(f"{run} ({recipe.name})")
    if len(runs_by_commit) < 2:
        return []
    asked = "; ".join(f"{' and '.join(runs)} for {one[:7]}" for one, runs in runs_by_commit.items())
    text = (
        f"{SHARED}, which holds one commit of nanochat, and these ask for different ones: {asked}; "
        "put them into different stacks"
    )
    return [text]
