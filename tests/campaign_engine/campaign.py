"""Plays stories of a seed, some side by side, and tells of each in a line."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcloud.place import Place
from tests.campaign_engine import kinds
from tests.campaign_engine.kinds import Kind
from tests.campaign_engine.place import StoryPlace
from tests.campaign_engine.player import Player
from tests.campaign_engine.story import Story

Say = Callable[[str], None]
SIDE_BY_SIDE: Final = 2


@dataclass(frozen=True, kw_only=True)
class Told:
    """How a story ended."""

    seed: int
    kind: Kind
    forced: bool  # the kind was named, not drawn
    plan: str
    commands: tuple[str, ...] = ()
    faults: int = 0
    seconds: float = 0.0
    violations: tuple[str, ...] = ()

    @property
    def replay(self) -> str:
        """The command that plays this story alone."""
        kind = f" KIND={self.kind.name}" if self.forced else ""
        return f"make campaign-engine N=1 SEED={self.seed}{kind}"

    def lines(self) -> Iterator[str]:
        """Tell of it in a line, and one more for each violation."""
        if self.kind.skipped:
            yield f"{self.seed} {self.kind.name}: skipped: {self.kind.skipped}"
            return
        end = f"{len(self.violations)} violation(s)" if self.violations else "ok"
        yield (
            f"{self.seed} {self.kind.name}: {self.plan} -> {', '.join(self.commands)}; "
            f"{self.faults} fault(s), {self.seconds:.0f} s: {end}"
        )
        for violation in self.violations:
            yield f"    VIOLATION {violation}"
        if self.violations:
            yield f"    replay: {self.replay}"


class Campaign:
    """A running local cloud and the stories that play in it."""

    def __init__(
        self,
        place: Place,
        world: Mapping[str, str],
        *,
        folder: Path,
        at_once: int = SIDE_BY_SIDE,
        keeps_logs: bool = False,
    ) -> None:
        self._place = place
        self._world = world
        self._folder = folder
        self._keeps_logs = keeps_logs
        self._open: list[StoryPlace] = []
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="story")

    def begin(self, seed: int, kind: Kind | None = None) -> Future[Told]:
        """Have the story of a seed played, of the kind that is drawn unless one is named."""
        return self._pool.submit(self._play, seed, kind)

    def play_all(self, seeds: Sequence[int], kind: Kind | None, *, say: Say) -> int:
        """Play the stories of these seeds; return how many violations there were."""
        told: list[Told] = []
        for one in as_completed([self.begin(seed, kind) for seed in seeds]):
            told.append(one.result())
            for line in told[-1].lines():
                say(line)
        played = sum(not one.kind.skipped for one in told)
        faults = sum(one.faults for one in told)
        violations = sum(len(one.violations) for one in told)
        say(f"stories {played}, faults {faults}, violations {violations}")
        return violations

    def end(self) -> None:
        """Break off what still plays; return when all of it is cleaned up."""
        self._ending.set()
        for place in list(self._open):
            place.abandon()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _play(self, seed: int, named: Kind | None) -> Told:
        """Play one story; its logs stay only if a promise was broken."""
        began = time.monotonic()
        kind = named or kinds.of_seed(seed)
        story = kind.story(seed)
        told = Told(seed=seed, kind=kind, forced=named is not None, plan=str(story))
        if kind.skipped or self._ending.is_set():
            return told
        folder = self._folder / f"{seed}-{kind.name}"
        with self._opened(folder, story) as place:
            player = Player(story, place)
            try:
                player.play()
            except Exception as error:
                if self._ending.is_set():
                    raise
                player.judge.violated(f"the story broke off: {type(error).__name__}: {error}")
        if not player.judge.violations and not self._keeps_logs:
            shutil.rmtree(folder, ignore_errors=True)
        return Told(
            seed=seed,
            kind=kind,
            forced=told.forced,
            plan=told.plan,
            commands=tuple(player.commands),
            faults=len(place.planted.struck) + player.strikes,
            seconds=time.monotonic() - began,
            violations=tuple(player.judge.violations),
        )

    @contextmanager
    def _opened(self, folder: Path, story: Story) -> Iterator[StoryPlace]:
        place = StoryPlace(
            self._place,
            self._world,
            folder=folder,
            config=story.first_config,
            quirks=story.quirks,
            bucket_exists=story.bucket_exists,
            machines=story.machines,
        )
        self._open.append(place)
        try:
            yield place
        finally:
            self._open.remove(place)
            place.close()
