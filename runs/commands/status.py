"""`runs status`: how runs stand now, from one look."""

from __future__ import annotations

from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal.console import out, print_json
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
    """Say how runs stand now: one look, always exit code 0 when it was answered.

    Example: python -m runs status --stack dev --json | jq .standing
    """
    source = Source(Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run))
    views = Follower(source.choose(), bucket=source.bucket, limits=WatchLimits()).look()
    if as_json:
        results = [panel.as_json(view) for view in views]
        print_json(results[0] if len(results) == 1 else results)
        return
    out.print(panel.panel(views[0]) if len(views) == 1 else panel.table_of_runs(views))
