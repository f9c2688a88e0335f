"""Under which prefix a bare container trains: one that was told none, nor rented by the program.

Each prefix holds a claim, only ever written under a condition: two containers never share one. A
container is known again by the ID on its disk and its host name. One that is made anew has neither:
it takes over what a dead one left unfinished, if that was asked for the same.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from container.contract.clock import Clock, moment
from container.contract.environment import RunEnvironment
from container.contract.keys import CLAIM_KEY, LEASE_KEY
from container.contract.recipe import Recipe, render
from container.contract.records import Claim, Lease, RecordError
from container.storage.bucket import ObjectChangedError, RunBucket, translated
from container.storage.retry import EndedError, retry_briefly
from container.supervisor.verdict import read_verdict

LEFT_BEHIND = timedelta(days=1)
"""What nobody has trained for longer is gone on with on request only: no platform takes so long to
start a container again, and whoever starts another one then wants another run."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    """A prefix and who claimed it."""

    bucket: RunBucket
    claim: Claim
    etag: str


@dataclass(kw_only=True)
class PrefixClaim:
    """One container's search for its prefix, `<stem>-<date>-<time>`."""

    bucket: RunBucket  # of any prefix
    recipe: Recipe
    environment: RunEnvironment
    holder: str  # the ID on this container's disk
    clock: Clock
    stop: threading.Event
    silent_s: float  # a holder that has not beaten for so long is dead
    look_s: float
    say: Callable[[str], None]
    _stem: str = field(init=False)
    _wanted: Claim = field(init=False)

    def __post_init__(self) -> None:
        recipe, environment = self.recipe, self.environment
        self._stem = stem_of(recipe)
        self._wanted = Claim(
            holder=self.holder,
            host=socket.gethostname(),
            recipe=recipe.name,
            settings=recipe.values(),
            nanochat_commit=environment.nanochat_commit or recipe.nanochat_commit,
            world_size=environment.world_size,
            claimed_at="",
        )

    def settle(self) -> str:
        """Return the prefix that is this container's alone; raises BucketError or EndedError.

        Call again after a BucketError: what was claimed by then is found.
        """
        others: list[_Held] = []
        for held in self._all():
            if not _is_for_the_same(held.claim, self._wanted):
                continue
            if (held.claim.holder, held.claim.host) == (self.holder, self._wanted.host):
                self.say(f"started again: goes on under {held.bucket.prefix}")
                return held.bucket.prefix
            if self._is_unfinished(held):
                others.append(held)
        for held in reversed(self._dead(others)):  # the oldest: most was paid for it
            if self._take_over(held):
                self.say(f"the container that trained under {held.bucket.prefix} is gone: goes on")
                return held.bucket.prefix
        return self._new()

    def _all(self) -> Iterator[_Held]:
        """Yield the claimed prefixes of this stem, the newest first."""
        for prefix in sorted(retry_briefly(self._prefixes), reverse=True):
            bucket = self._at(prefix)
            found = retry_briefly(lambda bucket=bucket: bucket.get_with_etag(CLAIM_KEY))
            try:
                claim = Claim.from_json(found[0]) if found else None
            except RecordError:
                claim = None
            if found and claim:
                yield _Held(bucket=bucket, claim=claim, etag=found[1])

    def _prefixes(self) -> list[str]:
        shape = re.compile(rf"{re.escape(self._stem)}-\d{{8}}-\d{{6}}")
        with translated("list", f"{self._stem}-*"):
            pages = self.bucket.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket.name, Prefix=f"{self._stem}-", Delimiter="/"
            )
            folders = [one for page in pages for one in page.get("CommonPrefixes", [])]
        names = [one.get("Prefix", "").rstrip("/") for one in folders]
        return [name for name in names if shape.fullmatch(name)]

    def _is_unfinished(self, held: _Held) -> bool:
        try:
            verdict = retry_briefly(lambda: read_verdict(held.bucket))
        except RecordError:
            return False
        return verdict is None or verdict.outcome == "stopped"

    def _dead(self, others: list[_Held]) -> list[_Held]:
        """Watch whether anything beats there; return those where nothing does.

        Also where a lease was given up: whoever has just claimed the prefix takes it next.
        """
        silent = {held.bucket.prefix: held for held in others if not self._is_left_behind(held)}
        if not silent:
            return []
        for_s = f"{self.silent_s:.0f} s"
        self.say(f"looks for {for_s} whether somebody trains under {', '.join(silent)}")
        seen = {prefix: self._signs(held) for prefix, held in silent.items()}
        begun = self.clock.monotonic()
        while silent and self.clock.monotonic() - begun <= self.silent_s:
            if self.stop.wait(self.look_s):
                raise EndedError
            silent = {
                prefix: held for prefix, held in silent.items() if self._signs(held) == seen[prefix]
            }
        return list(silent.values())

    def _signs(self, held: _Held) -> tuple[str, str]:
        """Return what changes while somebody trains there, or begins to."""
        bucket = held.bucket
        return retry_briefly(lambda: (bucket.etag(LEASE_KEY), bucket.etag(CLAIM_KEY)))

    def _is_left_behind(self, held: _Held) -> bool:
        raw = retry_briefly(lambda: held.bucket.get(LEASE_KEY))
        try:
            last = Lease.from_json(raw).beat_at if raw else held.claim.claimed_at
        except RecordError:
            last = held.claim.claimed_at
        beat, prefix = moment(last), held.bucket.prefix
        if beat is None or self.clock.now() - beat <= LEFT_BEHIND:
            return False
        self.say(
            f"{prefix} was left unfinished more than a day ago; to go on with it, start the "
            f"container anew with RUN_PREFIX={prefix}"
        )
        return True

    def _take_over(self, held: _Held) -> bool:
        return self._write(held.bucket, only_if_etag=held.etag)

    def _new(self) -> str:
        while True:
            prefix = f"{self._stem}-{self.clock.now():%Y%m%d-%H%M%S}"
            if self._write(self._at(prefix), only_if_absent=True):
                return prefix
            if self.stop.wait(1.0):  # another container took this second
                raise EndedError

    def _write(
        self, bucket: RunBucket, *, only_if_absent: bool = False, only_if_etag: str = ""
    ) -> bool:
        """Claim a prefix; False when another container was faster."""
        claim = replace(self._wanted, claimed_at=self.clock.stamp())

        def write() -> bool:
            try:
                bucket.put(
                    CLAIM_KEY,
                    claim.to_json(),
                    only_if_absent=only_if_absent,
                    only_if_etag=only_if_etag,
                )
            except ObjectChangedError:
                # Or this very write, whose answer was lost.
                return bucket.get(CLAIM_KEY) == claim.to_json()
            return True

        return retry_briefly(write)

    def _at(self, prefix: str) -> RunBucket:
        return RunBucket(self.bucket.client, name=self.bucket.name, prefix=prefix)


def stem_of(recipe: Recipe) -> str:
    """Return what a bare run's prefix begins with: nanochat-d20, as the guide has it."""
    return f"{recipe.name.partition('-')[0]}-{render(recipe.tag, recipe.values())}"


def _is_for_the_same(one: Claim, other: Claim) -> bool:
    return (one.recipe, one.settings, one.nanochat_commit, one.world_size) == (
        other.recipe,
        other.settings,
        other.nanochat_commit,
        other.world_size,
    )
