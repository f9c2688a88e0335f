"""Plays stories of a seed, some side by side, and tells of each in a line."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localcloud.place import Place
from tests.campaign_engine import kinds
from tests.campaign_engine.kinds import Kind
from tests.campaign_engine.place import StoryPlace
from tests.campaign_engine.player import Player

Say = Callable[[str], None]
SIDE_BY_SIDE: Final = 2


@dataclass(frozen=True, kw_only=True)
class Told:
    """How a story ended."""

    seed: int
    kind: Kind
    forced: bool  # the kind was named, not drawn
    plan: str
    commands: tuple[str, ...]
    faults: int
    seconds: float
    violations: tuple[str, ...]
    skipped: str = ""

    @property
    def replay(self) -> str:
        """The command that plays this story alone."""
        kind = f" KIND={self.kind.name}" if self.forced else ""
        return f"make campaign-engine N=1 SEED={self.seed}{kind}"

    def lines(self) -> Iterator[str]:
        end = f"skipped: {self.skipped}" if self.skipped else "ok"
        if self.violations:
            end = f"{len(self.violations)} violation(s)"
        yield (
            f"{self.seed} {self.kind.name}: {self.plan} -> {', '.join(self.commands)}; "
            f"{self.faults} fault(s), {self.seconds:.0f} s: {end}"
        )
        for violation in self.violations:
            yield f"    VIOLATION {violation}"
        if self.violations:
            yield f"    replay: {self.replay}"


@dataclass(frozen=True)
class Campaign:
    """A running local cloud, and where stories leave their logs."""

    place: Place
    world: Mapping[str, str]
    folder: Path

    def play(self, seed: int, kind: Kind | None = None) -> Told:
        """Play the story of a seed; leave its logs only if a promise was broken."""
        began = time.monotonic()
        chosen = kind or kinds.of_seed(seed)
        story = chosen.make(random.Random(seed))  # noqa: S311  # which faults are planted
        folder = self.folder / f"{seed}-{chosen.name}"
        commands: list[str] = []
        faults, violations = 0, list[str]()
        if not chosen.skipped:
            with _place(self, folder, story) as place:
                player = Player(story, place)
                try:
                    player.play()
                except Exception as error:  # noqa: BLE001  # one story must not end the others
                    player.judge.violated(f"the story broke off: {type(error).__name__}: {error}")
                commands = player.commands
                faults = len(place.planted.struck) + player.strikes
                violations = player.judge.violations
            if not violations:
                shutil.rmtree(folder, ignore_errors=True)
        return Told(
            seed=seed,
            kind=chosen,
            forced=kind is not None,
            plan=str(story),
            commands=tuple(commands),
            faults=faults,
            seconds=time.monotonic() - began,
            violations=tuple(violations),
            skipped=chosen.skipped,
        )

    def play_all(self, seeds: list[int], kind: Kind | None, *, say: Say, at_once: int) -> int:
        """Play the stories of these seeds; return how many promises were broken."""
        told: list[Told] = []
        with ThreadPoolExecutor(at_once, thread_name_prefix="story") as pool:
            left: set[Future[Told]] = {pool.submit(self.play, seed, kind) for seed in seeds}
            try:
                while left:
                    done, left = wait(left, return_when=FIRST_COMPLETED)
                    for one in done:
                        told.append(one.result())
                        for line in told[-1].lines():
                            say(line)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        violations = sum(len(one.violations) for one in told)
        played = [one for one in told if not one.skipped]
        faults = sum(one.faults for one in told)
        say(f"stories {len(played)}, faults {faults}, violations {violations}")
        return violations


@contextmanager
def _place(campaign: Campaign, folder: Path, story: object) -> Iterator[StoryPlace]:
    from tests.campaign_engine.story import Story

    assert isinstance(story, Story)
    place = StoryPlace(
        campaign.place,
        campaign.world,
        folder=folder,
        config=story.first_config,
        quirks=story.quirks,
        bucket_exists=story.bucket_exists,
    )
    try:
        yield place
    finally:
        place.close()
