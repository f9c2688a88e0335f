"""Looks at runs again and again until all have ended; asks machines and bucket, decides nothing.

What is seen is turned into views by standing.py and shown by whoever asked (commands/watch.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import requests
import urllib3

from components.http_session import make_session
from container.contract.keys import STATUS_KEY, VERDICT_KEY
from container.contract.records import RecordError, RunStatus, Verdict
from runs.errors import RunsError, UnreadableError
from runs.source.bucket import READERS, ReadOnlyBucket
from runs.source.stack import Target
from runs.view import standing
from runs.waits import waiting

LOOK_EVERY_S = 2.0
BUCKET_EVERY_S = 6.0  # while the machine itself answers
_CONNECT_AND_READ_S = (2, 4)
_PAGE_WITHIN_S = 10.0  # in all, as a read timeout starts anew with each byte
_PAGE_LIMIT_BYTES = 1_000_000  # a status is some kB; the address is public and could send anything


class Clock(Protocol):
    """Time from outside, so that tests need not wait."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(kw_only=True)
class Watched:
    """One run while it is followed: what has to be remembered between two looks."""

    target: Target
    began_s: float
    heartbeat: standing.Heartbeat | None = None
    samples: list[standing.Sample] = field(default_factory=list[standing.Sample])
    losses: list[float] = field(default_factory=list[float])
    stored: RunStatus | None = None
    verdict: Verdict | None = None
    bucket_asked_s: float | None = None
    listened_s: float = 0.0  # when machine or bucket last answered: silence counts up to then
    trouble: str = ""
    view: standing.View | None = None


class Follower:
    """Looks at some runs of one bucket."""

    def __init__(
        self,
        targets: list[Target],
        *,
        bucket: ReadOnlyBucket,
        limits: standing.WatchLimits,
        clock: Clock | None = None,
        read_live: Callable[[str], RunStatus | None] | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.bucket = bucket
        self.limits = limits
        self.read_live = read_live or read_live_status
        began_s = self.clock.monotonic()
        self.watched = [Watched(target=target, began_s=began_s) for target in targets]
        self.unreadable: list[UnreadableError] = []  # of runs that are not looked at any more

    def until_ended(self) -> Iterator[list[standing.View]]:
        """Yield all views after each look; end after the look that finds every run ended."""
        while True:
            views = self.look()
            yield views
            if all(view.standing in standing.ENDED for view in views):
                return
            self.clock.sleep(LOOK_EVERY_S)

    def look(self) -> list[standing.View]:
        """Look once at every run, in parallel; of several, those that can be read.

        Raises RunsError when the first look fails; later on, an outage is shown as trouble, and is
        raised only after as long as a machine may be silent.
        """
        if len(self.watched) == 1:
            return [self._look_at(self.watched[0])]
        with ThreadPoolExecutor(READERS) as pool:
            looked = zip(self.watched, pool.map(self._look_or_why_not, self.watched), strict=True)
            found = [(run, view) for run, view in looked]
        views = [view for _, view in found if isinstance(view, standing.View)]
        errors = [view for _, view in found if not isinstance(view, standing.View)]
        if not views:
            raise errors[0]
        self.watched = [run for run, view in found if isinstance(view, standing.View)]
        self.unreadable += errors
        return views

    def _look_or_why_not(self, run: Watched) -> standing.View | UnreadableError:
        try:
            return self._look_at(run)
        except UnreadableError as error:
            return error

    def _look_at(self, run: Watched) -> standing.View:
        if run.view is not None and run.verdict is not None:
            return run.view
        live = self.read_live(run.target.status_url) if run.target.status_url else None
        now_s = self.clock.monotonic()
        due = run.bucket_asked_s is None or now_s - run.bucket_asked_s >= BUCKET_EVERY_S
        if live is None or live.outcome is not None or due:
            run.bucket_asked_s = now_s
            self._ask_bucket(run, now_s=now_s)
        if live is not None:
            run.listened_s = now_s
        status, origin = standing.newest(live, run.stored)
        if live is not None and live.no_verdict:
            status, origin = live, "machine"  # it knows no attempt, and the bucket nothing of it
        if status is not None:
            run.heartbeat = standing.hear(
                run.heartbeat,
                status.beat_at,
                now=self.clock.now(),
                now_s=now_s,
                live=origin == "machine",
            )
            run.samples = standing.sampled(run.samples, status, now_s=now_s)
            if run.view is not None and run.view.stage != status.stage:
                run.losses = []
            run.losses = standing.losses_seen(run.losses, status)
        beat_age_s = standing.age_s(run.heartbeat, now_s=run.listened_s) if run.heartbeat else None
        run.view = standing.View(
            run=run.target.run,
            prefix=run.target.prefix,
            standing=standing.stand(
                verdict=run.verdict,
                beat_age_s=beat_age_s,
                waited_s=run.listened_s - run.began_s,
                limits=self.limits,
                no_verdict=live.no_verdict if live is not None else "",
            ),
            status=status,
            verdict=run.verdict,
            origin=origin,
            beat_age_s=beat_age_s,
            eta_s=standing.stage_eta_s(run.samples, status) if status else None,
            waited_s=now_s - run.began_s,
            losses=tuple(run.losses),
            estimated_cost_usd=run.target.estimated_cost_usd,
            trouble=run.trouble,
            run_of_sweep=run.target.run_of_sweep,
        )
        return run.view

    def _ask_bucket(self, run: Watched, *, now_s: float) -> None:
        prefix = run.target.prefix
        try:
            # The verdict first: it is written last, so what is read after it is final.
            run.verdict = self.bucket.record(f"{prefix}/{VERDICT_KEY}", Verdict)
            run.stored = self.bucket.record(f"{prefix}/{STATUS_KEY}", RunStatus) or run.stored
        except RunsError as error:
            # Our own deafness is not the machine's silence: it ends the looking, not the run.
            if run.view is None or now_s - run.listened_s >= self.limits.gone_after_s:
                raise
            run.trouble = str(error).splitlines()[0]
        else:
            run.trouble = ""
            run.listened_s = now_s


def read_live_status(status_url: str) -> RunStatus | None:
    """Return what the machine itself says, or None when it does not answer as one of ours."""
    try:
        with (
            make_session() as session,
            waiting("the machine's page", at_most_s=_PAGE_WITHIN_S + sum(_CONNECT_AND_READ_S)),
            session.get(
                f"{status_url}/{STATUS_KEY}", timeout=_CONNECT_AND_READ_S, stream=True
            ) as answer,
        ):
            if answer.status_code != requests.codes.ok:
                return None
            raw = _page(answer)
        return RunStatus.from_json(raw)
    # Read past requests, so that a page that is cut or stalls raises urllib3's own errors.
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, RecordError):
        return None


def _page(answer: requests.Response) -> bytes:
    """Return the body, or what came of it within the limits, which is then no status."""
    began_s = time.monotonic()
    page = b""
    while len(page) < _PAGE_LIMIT_BYTES and time.monotonic() - began_s < _PAGE_WITHIN_S:
        piece: bytes = answer.raw.read1(_PAGE_LIMIT_BYTES, decode_content=True)
        if not piece:
            break
        page += piece
    return page
