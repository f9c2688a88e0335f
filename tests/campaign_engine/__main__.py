"""Seeded fault stories through the real Pulumi engine, judged at vendor, Cloudflare and bucket."""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests import ROOT
from tests.campaign_engine import kinds
from tests.campaign_engine.campaign import SIDE_BY_SIDE, Campaign
from tests.campaign_engine.place import sweep

HOME = ROOT / ".local" / "campaign-engine"


def main() -> int:
    """Play what is asked for; return 0 only when every promise was kept."""
    given = _arguments().parse_args()
    kind = kinds.named(given.kind) if given.kind else None
    seeds = list(range(given.seed, given.seed + given.stories))
    if given.list:
        for one in kinds.KINDS:
            print(f"{one.name:<32} {one.tells}{f' [{one.skipped}]' if one.skipped else ''}")
        return 0
    if given.plan:
        for seed in seeds:
            chosen = kind or kinds.of_seed(seed)
            story = chosen.make(random.Random(seed))  # noqa: S311
            print(f"{seed} {chosen.name}: {story}")
        return 0
    with _campaign() as campaign:
        violations = campaign.play_all(
            seeds, kind, say=lambda line: print(line, flush=True), at_once=given.at_once
        )
    return 1 if violations else 0


@contextmanager
def _campaign() -> Iterator[Campaign]:
    """Start a local cloud of the campaign's own; stop it at the end, on Ctrl-C too."""
    os.environ["TRAINSTACK_LOCAL_DIR"] = str(HOME)
    from localcloud import env_file, services
    from localcloud.pulumi import engine
    from localcloud.pulumi.plugins.install import install_plugins
    from localcloud.pulumi.stack import base_environment

    def quiet(_: str) -> None:
        pass

    try:
        place = services.start(quiet)
        bin_dir = engine.ensure_engine(print)
        world = env_file.environment(place, base=base_environment())
        install_plugins(bin_dir / "pulumi", world)
        sweep(place)
        yield Campaign(place, world, HOME / "stories")
    finally:
        services.stop(quiet)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign_engine",
        description=__doc__,
        epilog="Seeds in a row go through the table of kinds, so as many stories as there are "
        "kinds play each once. A violation prints the command that replays its story alone; the "
        "outputs of its commands stay under .local/campaign-engine/stories/. Exit code 0: every "
        "promise was kept; 1: one was broken.",
    )
    parser.add_argument("--stories", type=int, default=len(kinds.KINDS), metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="of the first story; each next is +1")
    parser.add_argument("--kind", choices=[kind.name for kind in kinds.KINDS], metavar="KIND")
    parser.add_argument("--at-once", type=int, default=SIDE_BY_SIDE, metavar="N")
    parser.add_argument("--list", action="store_true", help="show the table of kinds, play nothing")
    parser.add_argument("--plan", action="store_true", help="show the stories, play nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
