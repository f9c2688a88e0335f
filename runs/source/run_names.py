"""Whose each run prefix of a bucket is: told by its records and by the ledger.

A prefix is never split: stack and run may both hold dashes. The parts come from what was recorded,
and a prefix is compared with what they compose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from components.ledger.page import Entry, Owner
from container.contract.keys import MANIFEST_KEY, RUN_KEY, STATUS_KEY, VERDICT_KEY
from container.contract.records import Manifest, RunRecord, RunStatus, Verdict
from runs.errors import UnreadableError
from runs.source import ledger_pages
from runs.source.bucket import ReadOnlyBucket

_NAMING = (
    (RUN_KEY, RunRecord),
    (STATUS_KEY, RunStatus),
    (VERDICT_KEY, Verdict),
    (MANIFEST_KEY, Manifest),
)
_IDENTITY_AND_HASH = r"[0-9a-f]{8}-[0-9a-f]{8}"


@dataclass(frozen=True, kw_only=True)
class Named:
    """A folder of the bucket; `run` is the prefix itself where nothing tells more."""

    prefix: str
    run: str
    is_run: bool = False  # it holds a record of a run, be it one that cannot be read
    owner: Owner | None = None  # where the ledger knows it

    def is_of_stack(self, stack: str) -> bool:
        """Say whether this run, of this name, is one of the stack."""
        if self.owner is not None:
            return self.owner.stack == stack
        if self.run == self.prefix:  # nothing tells its name: it may be
            return self.prefix.startswith(f"{stack}-")
        return composes(self.prefix, run=self.run, stack=stack)


def composes(prefix: str, *, run: str = "", stack: str = "") -> bool:
    """Say whether a run of this name, of this or of any stack, may have this prefix."""
    of_stack, of_run = (re.escape(name) if name else ".+" for name in (stack, run))
    pattern = rf"{of_stack}-{of_run}-{_IDENTITY_AND_HASH}"
    return re.fullmatch(pattern, prefix) is not None


class RunNames:
    """Names the prefixes of one bucket; reads the ledger at most once, when it is needed."""

    def __init__(self, bucket: ReadOnlyBucket) -> None:
        self._bucket = bucket

    def all(self) -> list[Named]:
        """Return every folder of the bucket but the ledger, in the order of their names."""
        return self.of(self._bucket.folders())

    def of(self, prefixes: Sequence[str]) -> list[Named]:
        """Name these prefixes from their records, else from the ledger."""
        found = {prefix: Named(prefix=prefix, run=prefix) for prefix in prefixes}
        for name, kind in _NAMING:
            unnamed = [prefix for prefix, one in found.items() if one.run == prefix]
            keys = {f"{prefix}/{name}": prefix for prefix in unnamed}
            for key, raw in self._bucket.read_many(list(keys)):
                if raw is None:
                    continue
                prefix = keys[key]
                try:
                    run = _printable(self._bucket.decoded(key, raw, kind).run)
                except UnreadableError:
                    run = ""
                found[prefix] = replace(found[prefix], run=run or prefix, is_run=True)
        return [one if one.run != one.prefix else self._by_ledger(one) for one in found.values()]

    def rented(self, *, run: str = "", stack: str = "") -> list[tuple[Owner, Entry]]:
        """Return the open entries of the ledger, of this run and stack where they are named."""
        return [
            (page.owner, entry)
            for page in self._ledger.pages
            for entry in page.open_entries()
            if run in ("", page.owner.run) and stack in ("", page.owner.stack)
        ]

    def is_rented(self, prefix: str) -> bool:
        """Say whether a machine was asked for that will write here, and none has yet."""
        families = [
            owner.family(entry.identity)
            for owner, entry in self.rented()
            if prefix.startswith(f"{owner.family(entry.identity)}-")
        ]
        return bool(families) and not _any_below(self._bucket.folders(), families)

    def _by_ledger(self, one: Named) -> Named:
        for page in self._ledger.pages:
            identities = {*(entry.identity for entry in page.entries), *page.closing}
            if any(one.prefix.startswith(f"{page.owner.family(i)}-") for i in identities):
                return replace(one, run=page.owner.run, owner=page.owner)
        return one

    @cached_property
    def _ledger(self) -> ledger_pages.Pages:
        return ledger_pages.read(self._bucket)


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable()).strip()


def _any_below(prefixes: Iterable[str], families: Sequence[str]) -> bool:
    return any(prefix.startswith(f"{family}-") for prefix in prefixes for family in families)
