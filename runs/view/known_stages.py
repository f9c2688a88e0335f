"""Which stages and attempts a run has, so that a mistyped one is not taken for one to come."""

from __future__ import annotations

from collections.abc import Iterable

from container.contract.keys import ATTEMPTS_PREFIX, RUN_KEY, STATUS_KEY, VERDICT_KEY, attempt_of
from container.contract.nearest import listed
from container.contract.recipe import RecipeError, known_recipes, load_recipe
from container.contract.records import RunRecord, RunStatus
from runs.errors import NoSuchRunError, UnreadableError
from runs.source.bucket import R, ReadOnlyBucket
from runs.source.stack import Target


def check_stage(
    stage: str, target: Target, *, bucket: ReadOnlyBucket, seen: Iterable[str] = ()
) -> None:
    """Raise NoSuchRunError, with the stages that there are, when the run has none of this name.

    `seen` are those that its objects name; the records are asked only when that does not do.
    """
    if not stage or stage in (known := set(seen)):
        return
    status = _record(bucket, f"{target.prefix}/{STATUS_KEY}", RunStatus)
    record = _record(bucket, f"{target.prefix}/{RUN_KEY}", RunRecord)
    names = [one.name for one in status.stages] if status else []
    recipe = record.recipe if record else status.recipe if status else ""
    names += [name for name in _of_recipe(recipe) if name not in names]
    if not names:  # nothing is written yet: any recipe's may come
        names = [name for one in known_recipes() for name in _of_recipe(one)]
    names += sorted(known - set(names))
    if stage not in names:
        raise NoSuchRunError(
            f"{target.run} has no stage {stage!r}.\nIts stages, the nearest first: "
            f"{listed(stage, names)}."
        )


def check_attempt(
    attempt: int | None, target: Target, *, bucket: ReadOnlyBucket, seen: Iterable[int] = ()
) -> None:
    """Raise NoSuchRunError, with those that there were, when a run had no such attempt."""
    if attempt is None or attempt in (known := set(seen)):
        return
    keys = [stored.key for stored in bucket.objects(f"{target.prefix}/{ATTEMPTS_PREFIX}")]
    known |= {number for key in keys if (number := attempt_of(key)) is not None}
    if attempt not in known:
        those = ", ".join(map(str, sorted(known))) or "none yet"
        raise NoSuchRunError(f"{target.run} has no attempt {attempt}.\nThere are: {those}.")


def not_yet(target: Target, *, bucket: ReadOnlyBucket) -> str:
    """Return " yet" for a run that may still write, "" for one that has ended."""
    ended = bucket.read(f"{target.prefix}/{VERDICT_KEY}") is not None
    return "" if ended else " yet"


def _record(bucket: ReadOnlyBucket, key: str, kind: type[R]) -> R | None:
    try:
        return bucket.record(key, kind)
    except UnreadableError:
        return None


def _of_recipe(name: str) -> list[str]:
    try:
        return [stage.name for stage in load_recipe(name).stages]
    except RecipeError:
        return []
