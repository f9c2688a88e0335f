"""`runs list`: all runs in the bucket, the newest first."""

from __future__ import annotations

from runs import rented
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Stack
from runs.view import run_list, tables
from runs.view.follower import SystemClock


def list_runs(stack: Stack = None, bucket: BucketName = None, as_json: AsJson = False) -> None:
    """List all runs in the bucket, the newest first; also those that no stack knows any more.

    Example: python -m runs list --bucket my-runs
    """
    source = Source(Selector.from_options(stack=stack, bucket=bucket))
    runs = run_list.entries(source.bucket, now=SystemClock().now())
    current = {target.prefix for target in source.targets}
    over = [
        rented.Ended(run=entry.run or entry.prefix, prefix=entry.prefix, used_usd=entry.dollars)
        for entry in runs
        if entry.standing in ("succeeded", "failed", "stopped")
    ]
    found = rented.ask(source, over)
    if as_json:
        print_json(
            [
                {
                    **tables.entry_json(entry, current=entry.prefix in current),
                    "still_rented": rented.as_json(found.rented.get(entry.prefix)),
                }
                for entry in runs
            ]
        )
        return
    if not runs:
        say(f"bucket {source.bucket_name} holds no run yet.")
        return
    say(f"bucket {source.bucket_name}", style="bold")
    out.print(tables.entries(runs, current=current))
    for entry in runs:
        if entry.trouble:
            say(f"{entry.run or entry.prefix}: {entry.trouble}", style="yellow")
    rented.say_rented(found, [(one.prefix, one.run) for one in over])
    if current:
        say("* of the stack")
