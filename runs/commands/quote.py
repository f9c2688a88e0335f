"""`runs quote`: what the runs of a stack's config would cost, before anything is rented."""

from __future__ import annotations

from decimal import Decimal

import typer

from components.config.quotable import quotable_runs
from components.errors import TrainstackError
from components.ionet import market, offers
from components.ionet import quote as quotes
from components.ionet.quote import Quote
from components.ledger import budget
from runs import machines
from runs.errors import EXIT_FAILED, EXIT_OK, RunsError, SettingMissingError
from runs.source import ledger_pages
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal.console import print_json, say
from runs.terminal.options import AsJson, Stack


def quote(stack: Stack = None, as_json: AsJson = False) -> None:
    """Say what the runs of a stack's config would cost on each machine that can be had now.

    Reads the config and asks io.net; needs no machine and no state, and buys nothing.
    Expected is the bill of the hours that would be bought, fees included; worst is a machine that
    is lost in its last hour and rented anew, never above maxCostUsd. What a run has cost counts as
    in `pulumi preview`, where the bucket's ledger can be read; where it cannot, this is said.

    Example: python -m runs quote --stack prod --json

    Exit codes: 0 each run has an offer within its caps; 1 one of them has none.
    """
    source = Source(Selector.from_options(stack=stack))
    machines.check_world(source)
    try:
        runs = quotable_runs(source.config, stack=source.selector.stack_name)
    except TrainstackError as error:
        raise SettingMissingError(str(error)) from None
    client = machines.open_client(
        source, read_timeout_s=machines.READ_TIMEOUT_S, retry_for_s=machines.RETRY_FOR_S
    )
    spent = _spent(source)
    found: dict[str, Quote] = {}
    for run in runs:
        used_usd = spent.get(run.name, Decimal(0))
        with machines.explained(client):
            wish = offers.wish_of(run)
            found[run.name] = market.quote(
                client, wish, cap_usd=run.max_cost_usd, spent_usd=used_usd
            )
    if as_json:
        print_json({name: _json(one) for name, one in found.items()})
    else:
        for name, one in found.items():
            _print(name, one)
    raise typer.Exit(EXIT_OK if all(one.chosen for one in found.values()) else EXIT_FAILED)


def _spent(source: Source) -> dict[str, Decimal]:
    """Return what each run of the stack has cost or reserved; says why where nobody knows."""
    not_counted = "what the runs have cost so far is not counted: "
    if not source.selector.stack_name:
        say(f"{not_counted}which stack's they are is not said. Name it: --stack")
        return {}
    try:
        found = ledger_pages.read(source.bucket)
    except RunsError as error:
        say(f"{not_counted}{' '.join(str(error).split())}")
        return {}
    for line in found.unreadable:
        say(f"{not_counted}{line}")
    theirs = [page for page in found.pages if page.owner.stack == source.selector.stack_name]
    return {page.owner.run: budget.of_page(page, cap_usd=Decimal(0)).used_usd for page in theirs}


def _json(quoted: Quote) -> dict[str, object]:
    refusal = None if quoted.chosen else str(quoted.refusal())
    return {**quotes.to_json(quoted), "refusal": refusal}


def _print(name: str, quoted: Quote) -> None:
    one = quoted.chosen
    if one is None or one.offer is None:
        if quoted.candidates:
            print(f"{name}:\n{quotes.table(quoted)}")
        say(f"{name}: {quoted.refusal()}")
        return
    summary = market.summary(
        one.offer, quoted.wish, cap_usd=quoted.cap_usd, spent_usd=quoted.spent_usd
    )
    print(f"{name}: {summary}")
    print(quotes.table(quoted))
    print(f"{name}: {quotes.comparison(one)}")
