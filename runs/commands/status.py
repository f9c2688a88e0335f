"""`runs status`: how runs stand now, from one look."""

from __future__ import annotations

import typer

from runs import rented
from runs.errors import EXIT_FAILED, EXIT_OK
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Prefix, Run, Stack
from runs.view import panel
from runs.view.follower import Follower
from runs.view.standing import WatchLimits


def status(
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    as_json: AsJson = False,
) -> None:
    """Say how runs stand now: one look, exit code 0 when it was answered, 1 for damaged records.

    Example: python -m runs status --stack dev --json | jq .standing
    """
    source = Source(Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run))
    targets = source.choose()
    follower = Follower(targets, bucket=source.bucket, limits=WatchLimits())
    views = follower.look()
    for error in follower.unreadable:
        say(str(error), style="yellow")
    found = rented.ask(source, [ended for view in views if (ended := rented.ended_of(view))])
    if as_json:
        results = [
            {**panel.as_json(view), "still_rented": rented.as_json(found.rented.get(view.prefix))}
            for view in views
        ]
        print_json(results[0] if len(targets) == 1 else results)
    else:
        out.print(panel.panel(views[0]) if len(targets) == 1 else panel.table_of_runs(views))
    rented.say_rented(found, [(view.prefix, view.run) for view in views])
    raise typer.Exit(EXIT_FAILED if follower.unreadable else EXIT_OK)
