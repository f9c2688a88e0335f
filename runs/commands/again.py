"""`runs again`: whether a `pulumi up` that failed is worth repeating, for a loop to read."""

from __future__ import annotations

from dataclasses import asdict

import typer

from components.config.quotable import quotable_runs
from components.errors import TrainstackError
from components.ledger.attempts import another_try
from components.ledger.page import Owner, Page
from runs.errors import EXIT_FAILED, EXIT_OK, SettingMissingError
from runs.source import ledger_pages
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal.console import print_json, say
from runs.terminal.options import AsJson, Stack


def again(stack: Stack = None, as_json: AsJson = False) -> None:
    """Say whether `pulumi up`, which failed, is worth repeating; rents and changes nothing.

    It is where the last machine of a run did not work and was given back, and attempts and budget
    are left: the next one takes the next offer. Any other failure would be the same again.

    Example: pulumi up --yes --stack prod || python -m runs again --stack prod

    Exit codes: 0 it is, for one run at least; 1 it is not.
    """
    source = Source(Selector.from_options(stack=stack))
    name = source.selector.stack_name
    if not name:
        raise SettingMissingError("no stack is named to look at.\nName it: --stack NAME")
    try:
        runs = quotable_runs(source.config, stack=name)
    except TrainstackError as error:
        raise SettingMissingError(str(error)) from None
    read = ledger_pages.read(source.bucket)
    pages = {one.owner.run: one for one in read.pages if one.owner.stack == name}
    found = {
        run.name: another_try(
            pages.get(run.name) or Page(owner=Owner(project="", stack=name, run=run.name)),
            attempts=run.attempts,
            cap_usd=run.max_cost_usd,
        )
        for run in runs
    }
    if as_json:
        print_json({run: asdict(one) for run, one in found.items()})
    else:
        for run, one in found.items():
            print(f"{run}: {'try again' if one.makes_sense else 'no'}: {one.why}")
    for why in read.unreadable:
        say(f"Not looked at: {why}")
    makes_sense = any(one.makes_sense for one in found.values())
    raise typer.Exit(EXIT_OK if makes_sense else EXIT_FAILED)
