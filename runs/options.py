"""Options that several commands share, and where their words go: results `out`, talk `talk`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

talk = Console(stderr=True)
out = Console()

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


def print_json(found: Any) -> None:
    """Print a result for machines."""
    print(json.dumps(found, indent=2))


def harmless(text: str) -> str:
    """Return text from a model without what could steer a terminal."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def say(text: str, *, style: str | None = None) -> None:
    """Talk to the person at the terminal, beside the result."""
    talk.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
