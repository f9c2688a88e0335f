"""`runs loss`: the loss curve, drawn or as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from runs.source.selector import Selector, refuse_together
from runs.source.source import Source
from runs.terminal.console import in_colour, out, print_json, say
from runs.terminal.options import AsJson, BucketName, Prefix, Run, Stack
from runs.view import known_stages, loss_curve


def loss(
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    stage: Annotated[str, typer.Option(help="Only this stage, such as base or sft.")] = "",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="One line a step.")] = False,
) -> None:
    """Draw the loss curve, all attempts merged into one history.

    Steps that were done again after a restart count once, as the later attempt did them.

    Example: python -m runs loss --stage base --csv > loss.csv
    """
    refuse_together({"--json": as_json, "--csv": as_csv}, why="two forms of one answer")
    source = Source(Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run))
    target = source.choose_one()
    metrics = loss_curve.read_metrics(source.bucket, target.prefix)
    known_stages.check_stage(
        stage, target, bucket=source.bucket, seen=(metric.stage for metric in metrics)
    )
    metrics = [m for m in metrics if not stage or m.stage == stage]
    if as_json:
        print_json(loss_curve.as_json(metrics))
    elif as_csv:
        _print_lines(loss_curve.csv_lines(metrics))
    elif metrics:
        _print_lines(
            loss_curve.pictures(metrics, run=target.run, width=out.width, colour=in_colour(out))
        )
    else:
        yet = known_stages.not_yet(target, bucket=source.bucket)
        say(f"{target.run}: no step is recorded{yet}{f' in stage {stage}' if stage else ''}.")


def _print_lines(lines: Iterable[Any]) -> None:
    for line in lines:
        print(line)
