"""`python -m localcloud.pulumi.engine install | path`: get the Pulumi engine, or its path."""

import sys
from typing import Annotated

import typer

from localcloud.pulumi.engine.errors import EngineError
from localcloud.pulumi.engine.install import ensure_engine

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only errors.")]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@app.command()
def install(quiet: Quiet = False) -> None:
    """Get the engine unless it is there: PATH, official release, or a build with Go."""
    _ensure(quiet=quiet)


@app.command()
def path(quiet: Quiet = False) -> None:
    """Print the folder of the engine, to be put in front of PATH; get it when it is missing."""
    print(_ensure(quiet=quiet))


def _ensure(*, quiet: bool) -> str:
    try:
        return str(ensure_engine((lambda _: None) if quiet else _say))
    except EngineError as error:
        _say(f"engine: {error}")
        raise typer.Exit(1) from None
