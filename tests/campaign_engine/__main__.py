"""Seeded fault stories through the real Pulumi engine, judged at vendor, Cloudflare and bucket."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
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
    seeds = range(given.seed, given.seed + given.stories)
    if given.list:
        for one in kinds.KINDS:
            print(f"{one.name:<32} {one.tells}{f' [{one.skipped}]' if one.skipped else ''}")
        return 0
    if given.plan:
        for seed in seeds:
            chosen = kind or kinds.of_seed(seed)
            print(f"{seed} {chosen.name}: {chosen.story(seed)}")
        return 0
    for ends in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a shell lets its background jobs ignore the first
        signal.signal(ends, signal.default_int_handler)
    try:
        with _alone(), _campaign(at_once=given.at_once, keeps_logs=given.keep_logs) as campaign:
            violations = campaign.play_all(seeds, kind, say=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("broken off; its stacks, machines, buckets and services are cleaned up")
        return 130
    except BlockingIOError:
        print("another campaign-engine plays in this checkout: end it first", file=sys.stderr)
        return 2
    return 1 if violations else 0


@contextmanager
def _alone() -> Iterator[None]:
    """Hold this checkout's lock; two campaigns would empty each other's buckets."""
    HOME.parent.mkdir(exist_ok=True)
    with (HOME.parent / "campaign-engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextmanager
def _campaign(*, at_once: int, keeps_logs: bool) -> Iterator[Campaign]:
    """Start a local cloud of the campaign's own; give everything back at the end, or on Ctrl-C."""
    os.environ["TRAINSTACK_LOCAL_DIR"] = str(HOME)
    from localcloud import env_file, services
    from localcloud.pulumi import engine
    from localcloud.pulumi.plugins.install import install_plugins
    from localcloud.pulumi.stack import base_environment

    def quiet(_: str) -> None:
        pass

    try:
        place = services.start(quiet)
        bin_dir = engine.ensure_engine(quiet)
        world = env_file.environment(place, base=base_environment())
        install_plugins(bin_dir / "pulumi", world)
        sweep(place)  # what a campaign left that was killed
        campaign = Campaign(
            place, world, folder=HOME / "stories", at_once=at_once, keeps_logs=keeps_logs
        )
        try:
            yield campaign
        finally:
            campaign.end()
    finally:
        services.stop(quiet)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign_engine",
        description=__doc__,
        epilog="Seeds in a row go through the table of kinds, so as many stories as there are "
        "kinds play each once. A violation prints the command that replays its story alone; what "
        "its commands said, and which HTTP calls they made, stays under "
        ".local/campaign-engine/stories/. Exit code 0: every promise was kept; 1: one was broken; "
        "2: another one plays in this checkout.",
    )
    parser.add_argument(
        "--stories",
        type=int,
        default=len(kinds.KINDS),
        metavar="N",
        help="how many (default: one of each kind)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of the first story; each next is 1 more"
    )
    parser.add_argument(
        "--kind",
        choices=[kind.name for kind in kinds.KINDS],
        metavar="K",
        help="play this kind only; --list shows all",
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=SIDE_BY_SIDE,
        metavar="N",
        help="how many play side by side (default: %(default)s)",
    )
    parser.add_argument("--keep-logs", action="store_true", help="also of stories that end well")
    parser.add_argument("--list", action="store_true", help="show the table of kinds, play nothing")
    parser.add_argument("--plan", action="store_true", help="show the stories, play nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main())
