"""Which runs of a bucket a selector means, where the stack's outputs do not tell; or what there is.

What is returned exists. A run that nobody knows is said to be none, never to be late: only one
whose machine the ledger knows has "not yet" written.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from container.contract.nearest import nearest_first
from runs.errors import NoSuchRunError, RunsError, SettingMissingError
from runs.source.bucket import ReadOnlyBucket, is_of_ledger
from runs.source.run_names import RunNames
from runs.source.selector import Selector
from runs.source.stack import Target, pick

_SHOWN = 8


class RunLookup:
    """Looks for the runs of one selector in one bucket."""

    def __init__(self, selector: Selector, *, bucket: ReadOnlyBucket) -> None:
        self._selector = selector
        self._bucket = bucket

    def name_of(self, prefix: str) -> str:
        """Return a run's name; the prefix itself where the bucket does not answer."""
        try:
            return self._names.of([prefix])[0].run
        except RunsError:
            return prefix

    def of_prefix(self, prefix: str, *, declared: Sequence[Target]) -> Target:
        """Return the run that lies under a prefix, or will; raises NoSuchRunError."""
        if is_of_ledger(prefix):
            raise NoSuchRunError(
                f"{prefix}/ is the ledger of rentals, no run.\nSee `python -m runs list`."
            )
        if not self._bucket.holds(prefix) and not self._names.is_rented(prefix):
            raise self._no_such_run(prefix, declared)
        (named,) = self._names.of([prefix])
        stack = "" if self._selector.stack_from_environment else self._selector.stack_name
        if stack and not named.is_of_stack(stack):
            raise SettingMissingError(self._selector.contradicts_prefix())
        return Target(run=named.run, prefix=prefix)

    def of_run(self, wanted: str, *, declared: Sequence[Target]) -> list[Target]:
        """Return the runs in the bucket that are meant, all without a name; or NoSuchRunError."""
        found = pick(self._in_bucket(runs_only=not wanted), wanted)
        if not found:
            raise self._no_such_run(wanted, declared)
        return found

    @cached_property
    def _names(self) -> RunNames:
        return RunNames(self._bucket)

    @property
    def _stack(self) -> str:
        return "" if self._selector.bucket else self._selector.stack_name

    def _in_bucket(self, *, runs_only: bool) -> list[Target]:
        return [
            Target(run=named.run, prefix=named.prefix)
            for named in self._names.all()
            if (named.is_run or not runs_only)
            and (not self._stack or named.is_of_stack(self._stack))
        ]

    def _no_such_run(self, wanted: str, declared: Sequence[Target]) -> NoSuchRunError:
        what = f"bucket {self._bucket.name} holds no run"
        what += f" {wanted!r}" if wanted else ""
        what += f" of stack {self._stack}" if self._stack else ""
        for owner, entry in self._names.rented(run=wanted, stack=self._stack):
            return NoSuchRunError(
                f"{what} yet: for {owner} a machine was asked for, {entry.asked_at:%m-%d %H:%M} "
                "UTC, which has written nothing.\nLook again in a few minutes; `python -m runs "
                "reap` shows the machine."
            )
        there = {t.prefix: t for t in (*declared, *self._in_bucket(runs_only=True))}.values()
        if not there:
            return NoSuchRunError(
                f"{what}.\n`python -m runs list` shows what is there; `pulumi up` starts the "
                "stack's runs."
            )
        nearest = nearest_first(wanted, there, names_of=lambda target: (target.run, target.prefix))
        lines = [f"  --run {t.prefix}  ({t.run})" for t in nearest[:_SHOWN]]
        left = f" {len(nearest)}, these are {_SHOWN}" if len(nearest) > _SHOWN else ""
        return NoSuchRunError(
            f"{what}. There is{left}, the nearest first:\n"
            + "\n".join(lines)
            + "\n`python -m runs list` tells more of what is there."
        )
