"""`runs logs`: a run's whole output on stdout, headers on stderr; reading is in view/logs.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from container.contract.keys import LOGS_PREFIX
from runs.commands import watch as watching
from runs.errors import EXIT_GONE
from runs.source.bucket import StoredObject
from runs.source.selector import Selector, refuse_together
from runs.source.source import Source
from runs.terminal.console import in_colour, out, say
from runs.terminal.options import AsJson, BucketName, Prefix, Run, Stack
from runs.view import known_stages
from runs.view.follower import Follower
from runs.view.logs import Choose, Part, last, lines, parts_in_order, read, tamed
from runs.view.logs import follow as follow_output
from runs.view.standing import WatchLimits


def logs(
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    stage: Annotated[str, typer.Option(help="Only this stage, such as base.")] = "",
    attempt: Annotated[int | None, typer.Option(min=1, help="Only this container start.")] = None,
    tail: Annotated[int, typer.Option("--tail", "-n", min=0, help="Only the last lines.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the verdict.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a run's whole output from the bucket, stage after stage.

    Headers that name attempt and stage go to stderr, so stdout is the output and nothing else.
    --follow waits out an outage of the network, and ends when the machine has been silent for as
    long as in watch.

    Example: python -m runs logs --stage base --tail 40

    Exit codes: 0 printed (--follow: the run has its verdict), 4 no sign of life, 5 no access.
    """
    refuse_together(
        {"--follow": follow, "--tail": tail}, why="--follow shows all and waits for more"
    )
    source = Source(Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run))
    target, place = source.choose_one(), source.bucket

    if stage or attempt is not None:
        all_parts = parts_in_order(place.objects(f"{target.prefix}/{LOGS_PREFIX}"))
        known_stages.check_stage(stage, target, bucket=place, seen=(p.stage for p in all_parts))
        known_stages.check_attempt(
            attempt, target, bucket=place, seen=(p.attempt for p in all_parts)
        )

    def chosen(objects: Iterable[StoredObject]) -> list[Part]:
        return parts_in_order(objects, stage=stage, attempt=attempt)

    if follow:
        raise typer.Exit(
            _follow(Follower([target], bucket=place, limits=WatchLimits()), chosen, as_json=as_json)
        )
    parts = chosen(place.objects(f"{target.prefix}/{LOGS_PREFIX}"))
    if not parts:
        yet = known_stages.not_yet(target, bucket=place)
        say(f"{target.run}: no output is in the bucket{yet} for what was asked.")
    output = lines(read(place, parts))
    _print(last(output, tail) if tail else output, as_json=as_json)


def _follow(follower: Follower, chosen: Choose, *, as_json: bool) -> int:
    _print(lines(follow_output(follower, choose=chosen, tell=say)), as_json=as_json)
    view = follower.watched[0].view
    if view is None or view.standing != "gone":
        return 0
    watching.say_gone(view)
    return EXIT_GONE


def _print(output: Iterable[tuple[Part, str]], *, as_json: bool) -> None:
    header: tuple[int, str] | None = None
    for part, line in output:
        if as_json:
            print(json.dumps({"attempt": part.attempt, "stage": part.stage, "line": line}))
            continue
        if header != (part.attempt, part.stage):
            header = (part.attempt, part.stage)
            sys.stdout.flush()
            say(f"==> {part.stage}, attempt {part.attempt}", style="bold")
        print(tamed(line, colours=in_colour(out)) if out.is_terminal else line)
        if out.is_terminal:
            sys.stdout.flush()
