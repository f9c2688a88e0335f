"""Options that several commands share; what of them may stand together is in source/selector.py.

Each is a list, so that one that is given twice is seen.
"""

from __future__ import annotations

from typing import Annotated

import typer

Stack = Annotated[
    list[str] | None,
    typer.Option(
        "--stack",
        help="Stack that says where to look; else TRAINSTACK_STACK, else the selected one.",
    ),
]
BucketName = Annotated[list[str] | None, typer.Option("--bucket", help="Look here; no stack does.")]
Prefix = Annotated[
    list[str] | None, typer.Option("--prefix", help="Run prefix, or s3://BUCKET/PREFIX/.")
]
Run = Annotated[
    list[str] | None, typer.Option("--run", help="Run key, prefix, or a prefix's beginning.")
]
Named = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", help="The run: key, prefix, or its beginning.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable result.")]


def of_either(run: list[str] | None, named: str | None) -> list[str] | None:
    """Return a run that may be named as an option or as a word; both are what was said twice."""
    return run if named is None else [*(run or []), named]
