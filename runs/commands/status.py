"""`runs status`: how runs stand now, from one look."""

from __future__ import annotations

from runs.source.source import Source
from runs.source.stack import Words
from runs.terminal.options import (
    AsJson,
    BucketName,
    Prefix,
    Run,
    Stack,
    out,
    print_json,
)
from runs.view import panel
from runs.view.follower import Follower
from runs.view.standing import Patience


def status(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    as_json: AsJson = False,
) -> None:
    """Say how runs stand now: one look, always exit code 0 when it was answered.

    Example: python -m runs status --stack dev --json | jq .standing
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    views = Follower(source.choose(), bucket=source.bucket, patience=Patience()).look()
    if as_json:
        found = [panel.as_json(view) for view in views]
        print_json(found[0] if len(found) == 1 else found)
        return
    out.print(panel.panel(views[0]) if len(views) == 1 else panel.table_of_runs(views))
