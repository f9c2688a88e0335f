"""`python -m benchmarks`: measure on this machine, compared things side by side in one run.

Prints one table; `--json` for programs. Numbers of two machines, or of two hours, do not compare:
read the ratios.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import bootstrap, image_size, main_job, no_change, paid_seconds, upload
from benchmarks.figures import Figure

GROUPS: dict[str, Callable[[bool], list[Figure]]] = {
    "bootstrap": bootstrap.measure,
    "main-job": main_job.measure,
    "no-change": no_change.measure,
    "upload": upload.measure,
    "paid-seconds": paid_seconds.measure,
    "image": image_size.measure,
}


def main(
    groups: Annotated[
        list[str] | None, typer.Argument(help=f"Which to measure: {', '.join(GROUPS)} (all).")
    ] = None,
    cold: Annotated[
        bool, typer.Option("--cold", help="Also build the engine and the environment anew.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure the main job's waiting times and the transfers; nothing of `make up` is touched."""
    unknown = [name for name in groups or () if name not in GROUPS]
    if unknown:
        raise SystemExit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    figures: list[Figure] = []
    try:
        for name in groups or GROUPS:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            figures += GROUPS[name](cold)
    finally:
        if figures:  # also when interrupted: a quarter of an hour may be in them
            _show(figures, as_json=as_json)


def _show(figures: list[Figure], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([figure.as_json() for figure in figures], indent=1))
        return
    table = Table("what", "measured", "against", box=None, pad_edge=False)
    for figure in figures:
        table.add_row(figure.what, figure.shown, figure.against)
    Console().print(table)


def run() -> None:
    """Measure what the command line names."""
    signal.signal(signal.SIGTERM, _stop)
    typer.run(main)


def _stop(number: int, _: object) -> None:
    raise SystemExit(128 + number)  # through the contexts that stop what was started
