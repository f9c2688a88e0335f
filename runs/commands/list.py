"""`runs list`: all runs in the bucket, the newest first."""

from __future__ import annotations

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
    if as_json:
        print_json([tables.entry_json(entry, current=entry.prefix in current) for entry in runs])
        return
    if not runs:
        say(f"bucket {source.bucket_name} holds no run yet.")
        return
    say(f"bucket {source.bucket_name}", style="bold")
    out.print(tables.entries(runs, current=current))
    for entry in runs:
        if entry.trouble:
            say(f"{entry.run or entry.prefix}: {entry.trouble}", style="yellow")
    if current:
        say("* of the stack")
