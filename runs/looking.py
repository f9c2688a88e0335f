"""Commands that only look: watch, status, list, artifacts, loss, cost; logs is in log_output.py."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from container.contract.records import (
    ATTEMPTS_PREFIX,
    MANIFEST_KEY,
    RUN_KEY,
    STATUS_KEY,
    VERDICT_KEY,
    Attempt,
    Manifest,
    RunRecord,
    RunStatus,
    Verdict,
)
from runs import watch as watching
from runs.commands.logs import logs_of_run
from runs.errors import SettingMissingError
from runs.source.source import Source
from runs.source.stack import Target, Words
from runs.terminal.options import (
    AsJson,
    BucketName,
    Prefix,
    Run,
    Stack,
    interruptible,
    out,
    print_json,
    say,
)
from runs.view import loss_curve, panel, run_cost, run_list, tables
from runs.view.follower import Follower, SystemClock
from runs.view.standing import Patience

_STILL_PAID = (
    "Not watching any more; the run goes on, and is paid for. Look again: `python -m runs watch`"
)


def register(app: typer.Typer) -> None:
    """Add the commands in the order in which `--help` shows them."""
    for command, name, purpose in (
        (list_runs, "list", "List all runs in the bucket."),
        (status, "status", "Say how runs stand now."),
        (watch, "watch", "Follow runs live until their verdict."),
        (logs_of_run, "logs", "Print a run's whole output."),
        (loss, "loss", "Draw the loss curve."),
        (cost, "cost", "Say what runs cost."),
        (artifacts, "artifacts", "List what a finished run left."),
    ):
        comfort = _STILL_PAID if command is watch else "Interrupted; no run was touched."
        app.command(name, short_help=purpose)(interruptible(command, comfort=comfort))


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
    """Follow runs live until their verdict; Ctrl-C ends the looking, never the run.

    A panel on a terminal, elsewhere one line a change. A beat is what the machine writes every 10
    to 15 s; without one the run is shown as quiet, then as gone.

    Example: python -m runs watch --stack dev --run main

    Exit codes: 0 succeeded, 1 failed, 3 stopped, 4 no sign of life, 5 no access.
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    patience = Patience(gone_after_s=gone_after * 60, first_beat_within_s=start_within * 60)
    follower = Follower(source.choose(), bucket=source.bucket, patience=patience)
    raise typer.Exit(watching.watch(follower, as_json=as_json))


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


def list_runs(stack: Stack = "", bucket: BucketName = "", as_json: AsJson = False) -> None:
    """List all runs in the bucket, the newest first; also those that no stack knows any more.

    Example: python -m runs list --bucket my-runs
    """
    source = Source(Words(stack=stack, bucket=bucket))
    found = run_list.entries(source.bucket, now=SystemClock().now())
    current = {target.prefix for target in source.targets}
    if as_json:
        print_json([tables.entry_json(entry, current=entry.prefix in current) for entry in found])
        return
    if not found:
        say(f"bucket {source.bucket_name} holds no run yet.")
        return
    say(f"bucket {source.bucket_name}", style="bold")
    out.print(tables.entries(found, current=current))
    if current:
        say("* of the stack")


def artifacts(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    every: Annotated[bool, typer.Option("--all", help="Every object by itself.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what a finished run left: the keys of its manifest, with size and hash.

    Logs, metrics and checkpoints before the last are one line each; --all and --json name all.

    Example: python -m runs artifacts --stack dev
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    found = [(target, _manifest(source, target)) for target in source.choose()]
    if as_json:
        print_json({target.prefix: json.loads(manifest.to_json()) for target, manifest in found})
        return
    for target, manifest in found:
        say(f"{source.bucket_name}/{target.prefix}/", style="bold")
        out.print(tables.artifacts(manifest.artifacts, every=every))


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

    Steps that were done again after a restart count once, as the later attempt did them.

    Example: python -m runs loss --stage base --csv > loss.csv
    """
    if as_json and as_csv:
        raise SettingMissingError(
            "--json and --csv are two forms of one answer.\nLeave one of them out."
        )
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    target = source.choose_one()
    metrics = loss_curve.read_metrics(source.bucket, target.prefix)
    metrics = [m for m in metrics if not stage or m.stage == stage]
    if as_json:
        print_json(loss_curve.as_json(metrics))
    elif as_csv:
        _print_lines(loss_curve.csv_lines(metrics))
    elif metrics:
        _print_lines(
            loss_curve.pictures(metrics, run=target.run, width=out.width, colour=out.is_terminal)
        )
    else:
        say(f"{target.run}: no step is recorded yet{f' in stage {stage}' if stage else ''}.")


def cost(
    stack: Stack = "",
    bucket: BucketName = "",
    prefix: Prefix = "",
    run: Run = "",
    as_json: AsJson = False,
) -> None:
    """Say what runs cost: time used, hours bought, storage a month, attempt by attempt.

    Used is time × price as the machine counted it. Bought is the rental as the stack knows it, with
    fees and extensions. Where no stack knows the run it is only the hours first bought × price,
    marked ~: without fees (about 2 %), extensions and later rentals. io.net's bill is what counts.
    Storage is what keeping the artefacts in R2 costs.

    Example: python -m runs cost --stack dev
    """
    source = Source(Words(stack=stack, bucket=bucket, prefix=prefix, run=run))
    costs = [_cost(source, target) for target in source.choose()]
    if as_json:
        print_json([tables.cost_json(found) for found in costs])
        return
    out.print(tables.costs(costs))
    if any(not found.bought_known for found in costs):
        say("~ hours first bought × price, without fees, extensions and later rentals")
    if any(len(found.attempts) > 1 for found in costs) or len(costs) == 1:
        out.print()
        out.print(tables.attempts(costs))


def _manifest(source: Source, target: Target) -> Manifest:
    return source.bucket.record(f"{target.prefix}/{MANIFEST_KEY}", Manifest, required=True)


def _cost(source: Source, target: Target) -> run_cost.RunCost:
    bucket, prefix = source.bucket, target.prefix
    stored = list(bucket.objects(f"{prefix}/"))
    keys = [o.key for o in stored if o.key.startswith(f"{prefix}/{ATTEMPTS_PREFIX}")]
    return run_cost.run_cost(
        run=target.run,
        prefix=prefix,
        record=bucket.record(f"{prefix}/{RUN_KEY}", RunRecord),
        attempts=[bucket.decoded(key, raw, Attempt) for key, raw in bucket.read_many(keys) if raw],
        status=bucket.record(f"{prefix}/{STATUS_KEY}", RunStatus),
        verdict=bucket.record(f"{prefix}/{VERDICT_KEY}", Verdict),
        size_bytes=sum(o.size_bytes for o in stored),
        estimated_cost_usd=target.estimated_cost_usd,
    )


def _print_lines(lines: Iterable[Any]) -> None:
    for line in lines:
        print(line)
