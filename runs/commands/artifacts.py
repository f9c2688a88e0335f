"""`runs artifacts`: what a finished run left."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from container.contract.keys import MANIFEST_KEY
from container.contract.records import Manifest
from runs.errors import EXIT_FAILED, EXIT_OK
from runs.source.selector import Selector
from runs.source.source import Source
from runs.source.stack import Target
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Prefix, Run, Stack
from runs.view import tables
from runs.view.readable import readable


def artifacts(
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    every: Annotated[bool, typer.Option("--all", help="Every object by itself.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what a finished run left: the keys of its manifest, with size and hash.

    Logs, metrics and checkpoints before the last are one line each; --all and --json name all.

    Example: python -m runs artifacts --stack dev
    """
    source = Source(Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run))
    manifests, unreadable = readable(
        source.choose(), lambda target: (target, _manifest(source, target))
    )
    if as_json:
        print_json(
            {target.prefix: json.loads(manifest.to_json()) for target, manifest in manifests}
        )
        raise typer.Exit(EXIT_FAILED if unreadable else EXIT_OK)
    for target, manifest in manifests:
        say(f"{source.bucket_name}/{target.prefix}/", style="bold")
        out.print(tables.artifacts(manifest.artifacts, every=every))
    raise typer.Exit(EXIT_FAILED if unreadable else EXIT_OK)


def _manifest(source: Source, target: Target) -> Manifest:
    return source.bucket.record(f"{target.prefix}/{MANIFEST_KEY}", Manifest, required=True)
