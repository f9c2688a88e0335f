"""Plays the cases of a campaign, a few at a time, and keeps a line about each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaign import judge
from tests.campaign.cloud import Cloud
from tests.campaign.rented import Run

AT_ONCE = 2  # each trains on one core
AT_ONCE_IN_SAMPLE = 3  # all of it: the undisturbed run and two kills


Undisturbed = Callable[[], dict[str, str]]  # hashes of the weights that nothing disturbed
Play = Callable[[Run, Undisturbed], str]  # returns a word for the table


@dataclass(frozen=True)
class Case:
    """Something that goes wrong, and what must come of it."""

    name: str
    play: Play
    quick: bool = False  # in every sample: it takes seconds

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    seconds: float
    found: str


@dataclass
class Campaign:
    """All cases that this session has selected; each is played once."""

    cloud: Cloud
    seed: int
    logs: Path
    patient: bool  # waits as long as a lost machine's lease lasts, and for whole outages
    rows: list[Row]
    _played: dict[str, Future[None]] = field(default_factory=dict[str, "Future[None]"])
    _undisturbed: Future[dict[str, str]] | None = None

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE if self.patient else AT_ONCE_IN_SAMPLE)
        self._interrupted = threading.Event()

    def begin(self, cases: Sequence[Case]) -> None:
        """Start playing."""
        self._undisturbed = self._pool.submit(self._without_faults)
        self._played = {case.name: self._pool.submit(self._play, case) for case in cases}

    def result(self, case: Case) -> None:
        """Wait for a case; raise what it found wrong."""
        self._played[case.name].result()

    def end(self) -> None:
        """Interrupt what is under way; it gives back what it rented."""
        self._interrupted.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _without_faults(self) -> dict[str, str]:
        begin = time.monotonic()
        with self._run("undisturbed") as run:
            run.rent()
            judge.ended_well(run)
            found = judge.weights(run)
            self._note("undisturbed", begin, "succeeded")
        return found

    def _play(self, case: Case) -> None:
        assert self._undisturbed is not None
        begin = time.monotonic()
        try:
            with self._run(case.name) as run:
                found = case.play(run, self._undisturbed.result)
        except BaseException as error:
            self._note(case.name, begin, f"FAILED: {str(error).splitlines()[0][:120]}")
            error.add_note(f"Play it again: CAMPAIGN_SEED={self.seed} make campaign ONLY={case}")
            error.add_note(f"What its containers said: {self.logs}/{case}-*.log")
            raise
        self._note(case.name, begin, found)

    def _run(self, name: str) -> Run:
        return Run(
            self.cloud,
            name,
            logs=self.logs,
            seed=self.seed,
            patient=self.patient,
            interrupted=self._interrupted,
        )

    def _note(self, name: str, begin: float, found: str) -> None:
        row = Row(name, time.monotonic() - begin, found)
        self.rows.append(row)
        print(f"  {table([row])[0]}", flush=True)


def table(rows: Sequence[Row]) -> list[str]:
    """Return the rows as text."""
    width = max((len(row.name) for row in rows), default=0)
    return [f"{row.name:<{width}}  {row.seconds:5.0f} s  {row.found}" for row in rows]
