"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Stack = Annotated[
    str,
    typer.Option(
        "--stack", envvar="TRAINSTACK_STACK", help="Stack whose outputs say where to look."
    ),
]
BucketName = Annotated[str, typer.Option("--bucket", help="Look here; no stack is asked.")]
Prefix = Annotated[str, typer.Option("--prefix", help="Run prefix in the bucket.")]
Run = Annotated[str, typer.Option("--run", help="Run key, prefix, or a prefix's beginning.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable result.")]
