"""`runs cost`: what runs cost, attempt by attempt."""

from __future__ import annotations

import re
from typing import Annotated, NoReturn

import typer

from container.contract.keys import ATTEMPTS_PREFIX, RUN_KEY, STATUS_KEY, VERDICT_KEY
from container.contract.records import Attempt, RunRecord, RunStatus, Verdict
from runs.errors import EXIT_FAILED, EXIT_OK, SettingMissingError
from runs.source import ledger_pages
from runs.source.selector import Said, Selector, refuse_together
from runs.source.source import Source
from runs.source.stack import Target
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Named, Prefix, Run, Stack, of_either
from runs.view import ledger_sums, run_cost, tables
from runs.view.readable import readable

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def cost(
    named: Named = None,
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger", help="Add up the ledger of rentals: of a run, a stack, or all there are."
        ),
    ] = False,
    month: Annotated[
        str, typer.Option("--month", help="Only what was rented in that month, YYYY-MM (UTC).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say what runs cost: time used, hours bought, storage a month, attempt by attempt.

    Used is time × price as the machine counted it. Bought is the rental as the stack knows it, with
    fees and extensions. Where no stack knows the run it is only the hours first bought × price,
    marked ~: without fees (about 2 %), extensions and later rentals. io.net's bill is what counts.
    Storage is what keeping the artefacts in R2 costs.

    --ledger adds up the ledger of rentals alone, whatever became of state, machines and records:
    spent is what io.net charged, reserved what was asked for and is not answered clearly. --month
    does so for what was rented in one month, extensions included.

    Example: python -m runs cost main --stack dev; python -m runs cost --month 2026-11

    Exit codes: 0 all of it said; 1 a run's records cannot be read, the others are shown.
    """
    run = of_either(run, named)
    if ledger or month:
        _add_up(stack=stack, bucket=bucket, prefix=prefix, run=run, month=month, as_json=as_json)
    source = Source(Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run))
    costs, unreadable = readable(source.choose(), lambda target: _cost(source, target))
    if as_json:
        print_json([tables.cost_json(one) for one in costs])
        raise typer.Exit(EXIT_FAILED if unreadable else EXIT_OK)
    out.print(tables.costs(costs))
    if any(not one.bought_known for one in costs):
        say("~ hours first bought × price, without fees, extensions and later rentals")
    if any(len(one.attempts) > 1 for one in costs) or len(costs) == 1:
        out.print()
        out.print(tables.attempts(costs))
    raise typer.Exit(EXIT_FAILED if unreadable else EXIT_OK)


def _add_up(
    *, stack: Said, bucket: Said, prefix: Said, run: Said, month: str, as_json: bool
) -> NoReturn:
    """Print what the ledger says of the runs that are asked for, and end the command."""
    if month and not _MONTH.fullmatch(month):
        raise SettingMissingError(f"--month {month}: must be a year and a month, such as 2026-11.")
    refuse_together(
        {"--prefix": bool(prefix), "--month" if month else "--ledger": True},
        why="the ledger is added up by whole runs",
    )
    selector = Selector.from_options(stack=stack, bucket=bucket, run=run, stack_beside_bucket=True)
    found = ledger_pages.read(Source(selector).bucket)
    of_stack = "" if selector.stack_from_environment else selector.stack_name
    added = ledger_sums.sums(found.pages, stack=of_stack, run=selector.run, month=month)
    if as_json:
        print_json(ledger_sums.as_json(added))
    else:
        out.print(ledger_sums.table(added))
    for why in found.unreadable:
        say(f"Not counted: {why}")
    raise typer.Exit(EXIT_FAILED if found.unreadable else EXIT_OK)


def _cost(source: Source, target: Target) -> run_cost.RunCost:
    bucket, prefix = source.bucket, target.prefix
    stored = list(bucket.objects(f"{prefix}/"))
    keys = [o.key for o in stored if o.key.startswith(f"{prefix}/{ATTEMPTS_PREFIX}")]
    return run_cost.run_cost(
        run=target.run,
        prefix=prefix,
        record=bucket.record(f"{prefix}/{RUN_KEY}", RunRecord),
        attempts=[
            bucket.decoded(key, raw, Attempt)
            for key, raw in bucket.read_many(keys)
            if raw is not None
        ],
        status=bucket.record(f"{prefix}/{STATUS_KEY}", RunStatus),
        verdict=bucket.record(f"{prefix}/{VERDICT_KEY}", Verdict),
        size_bytes=sum(o.size_bytes for o in stored),
        estimated_cost_usd=target.estimated_cost_usd,
    )
