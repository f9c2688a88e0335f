"""`runs rm`: deletes what a run left in the bucket, only when told."""

from __future__ import annotations

from typing import Annotated

import typer

from runs import remove
from runs.errors import RunsError, SettingMissingError
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal import formats, progress_bar
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Prefix, Run, Stack
from runs.view import tables


def rm(
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also a run without a verdict.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete all that a run left in the bucket. A dry run unless --yes; there is no way back.

    Name the run with --run or --prefix. A run without a verdict is refused unless --force: its
    machine may be silent only, and would go on writing.

    Example: python -m runs rm --prefix dev-main-0a1b2c3d-deadbeef --yes
    """
    selector = Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run)
    if not (selector.run or selector.prefix):
        raise SettingMissingError(
            "which run? Name it: --run or --prefix, as `python -m runs list` shows it."
        )
    source = Source(selector)
    target, place = source.choose_one(), source.bucket
    remains = remove.remains(place, target.prefix)
    unended = bool(remains.keys or remains.uploads) and not remains.ended
    if yes and unended and not force:
        raise RunsError(
            f"{target.run} has no verdict, so it has not ended or its machine vanished; nothing "
            "was deleted.\nLook with `python -m runs status` and give its machine back first "
            "(`pulumi destroy`; `python -m runs reap` when no stack knows it). Where no verdict "
            "comes of that, say --force."
        )
    if yes:
        with progress_bar.of_objects(len(remains.keys), done_so="deleted") as advance:
            remove.remove(place, remains, progress=advance)
    if as_json:
        print_json(tables.remains_json(remains, deleted=yes))
        return
    done = "Deleted" if yes else "Would delete"
    uploads = (
        f" and {formats.plural(len(remains.uploads), 'open upload')}" if remains.uploads else ""
    )
    out.print(
        f"{done} {formats.plural(len(remains.keys), 'object')} ({formats.size(remains.size_bytes)})"
        f"{uploads} in {place.name}/{target.prefix}/",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if not yes:
        also = " and, as the run has no verdict, --force" if unended and not force else ""
        say(f"Nothing was deleted: say --yes{also} to do it.")
    if any(declared.prefix == target.prefix for declared in source.targets):
        say(
            "The stack still declares this run: without its verdict `pulumi up` trains it again "
            "once its machine has ended."
        )
