"""The commands of `python -m runs`: from words on the command line to one call; decides nothing.

Results go to stdout, talk to stderr. Exit codes are in errors.py and in the `--help` below.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from container.records import MANIFEST_KEY, Manifest
from runs import curve, show
from runs.errors import EXIT_INTERRUPTED, RunsError
from runs.follow import Follower
from runs.judge import Patience
from runs.source import Source
from runs.stack import Target, Words
from runs.watch import watch as follow_to_the_end

EXIT_CODES = (
    "Exit codes: 0 asked and answered (watch: all succeeded), 1 a run, a copy or a check failed, "
    "2 a setting or a word is missing, 3 a run was stopped, 4 no sign of life from the machine, "
    "5 no answer or no access, 130 Ctrl-C."
)

app = typer.Typer(
    name="runs",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=f"Look at training runs, and fetch what came of them.\n\n{EXIT_CODES}",
)
talk = Console(stderr=True)
out = Console()

Stack = Annotated[str, typer.Option("--stack", help="Stack whose outputs say where to look.")]
BucketName = Annotated[str, typer.Option("--bucket", help="Look here; no stack is asked.")]
Prefix = Annotated[str, typer.Option("--prefix", help="Run prefix in the bucket.")]
Run = Annotated[str, typer.Option("--run", help="Run key, prefix, or a prefix's beginning.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable result.")]


def main() -> None:
    """Run the command line; end the process with the documented exit code."""
    try:
        app()
    except RunsError as error:
        talk.print(f"runs: {error}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        talk.print("\nInterrupted; the run goes on.")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


@app.command()
def watch(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    gone_after: Annotated[
        float, typer.Option(min=0.1, help="Minutes of silence that mean: machine gone.")
    ] = 10,
    start_within: Annotated[
        float, typer.Option(min=0.1, help="Minutes until the first sign of life.")
    ] = 30,
    as_json: AsJson = False,
) -> None:
    """Follow runs live until their verdict. Ctrl-C stops the looking, never the run.

    A panel on a terminal, else one line per change (--json: one object per change).

    Example: runs watch --stack dev --run main

    Exit codes: 0 succeeded, 1 failed, 3 stopped, 4 no sign of life, 5 no access.
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    patience = Patience(gone_after_s=gone_after * 60, first_beat_within_s=start_within * 60)
    follower = Follower(source.choose(), bucket=source.bucket, patience=patience)
    try:
        code = follow_to_the_end(follower, out=out, talk=talk, as_json=as_json)
    except KeyboardInterrupt:
        talk.print("\nNot watching any more; the run goes on. Watch again: runs watch")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    raise typer.Exit(code)


@app.command()
def status(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    as_json: AsJson = False,
) -> None:
    """Say how runs stand now.

    Example: runs status --stack dev --json
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    views = Follower(source.choose(), bucket=source.bucket, patience=Patience()).look()
    if as_json:
        found = [show.as_json(view) for view in views]
        _print_json(found[0] if len(found) == 1 else found)
        return
    out.print(show.panel(views[0]) if len(views) == 1 else show.table_of_runs(views))


@app.command()
def artifacts(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    as_json: AsJson = False,
) -> None:
    """List what a finished run left: every key of its manifest, with size and hash.

    Example: runs artifacts --stack dev
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    found = [(target, _manifest(source, target)) for target in source.choose()]
    if as_json:
        _print_json({target.run: json.loads(manifest.to_json()) for target, manifest in found})
        return
    for target, manifest in found:
        talk.print(f"{source.bucket_name}/{target.prefix}/", style="bold", highlight=False)
        out.print(show.table_of_artifacts(manifest.artifacts))


@app.command()
def loss(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    stage: Annotated[str, typer.Option(help="Only this stage, such as base or sft.")] = "",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line a step.")] = False,
) -> None:
    """Draw the loss curve, all attempts merged into one history.

    Example: runs loss --stage base --csv > loss.csv
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    target = source.choose_one()
    metrics = curve.read_metrics(source.bucket, target.prefix)
    metrics = [m for m in metrics if not stage or m.stage == stage]
    if as_csv:
        for line in curve.csv_lines(metrics):
            print(line)
        return
    if as_json:
        _print_json(curve.as_json(metrics))
        return
    if not metrics:
        talk.print(f"{target.run}: no step is recorded yet{f' in stage {stage}' if stage else ''}.")
        return
    for picture in curve.pictures(metrics, run=target.run, width=out.width, colour=out.is_terminal):
        print(picture)


def _manifest(source: Source, target: Target) -> Manifest:
    return source.bucket.record(f"{target.prefix}/{MANIFEST_KEY}", Manifest, required=True)


def _print_json(found: dict[str, Any] | Sequence[Any]) -> None:
    print(json.dumps(found, indent=2))
