"""`runs cost`: what runs cost, attempt by attempt."""

from __future__ import annotations

import typer

from container.contract.keys import ATTEMPTS_PREFIX, RUN_KEY, STATUS_KEY, VERDICT_KEY
from container.contract.records import Attempt, RunRecord, RunStatus, Verdict
from runs.errors import EXIT_FAILED, EXIT_OK
from runs.source.selector import Selector
from runs.source.source import Source
from runs.source.stack import Target
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Prefix, Run, Stack
from runs.view import run_cost, tables
from runs.view.readable import readable


def cost(
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    as_json: AsJson = False,
) -> None:
    """Say what runs cost: time used, hours bought, storage a month, attempt by attempt.

    Used is time × price as the machine counted it. Bought is the rental as the stack knows it, with
    fees and extensions. Where no stack knows the run it is only the hours first bought × price,
    marked ~: without fees (about 2 %), extensions and later rentals. io.net's bill is what counts.
    Storage is what keeping the artefacts in R2 costs.

    Example: python -m runs cost --stack dev

    Exit codes: 0 all of it said; 1 a run's records cannot be read, the others are shown.
    """
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
