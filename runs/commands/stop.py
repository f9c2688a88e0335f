"""`runs stop`: lets a run save, ends it, gives its machine back, and prints the receipt."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated

import typer

from components.ionet.rental.stop import WITHIN_S, now_and_then, seconds_of
from components.ionet.rental.waiting import Clock
from runs import inventory, machines, reaping
from runs.errors import SettingMissingError
from runs.giving_back import Ending
from runs.inventory import Inventory
from runs.machines import Machine
from runs.source.selector import Selector
from runs.source.source import Source
from runs.source.stack import Target
from runs.terminal.console import moves, out, print_json, say, talk
from runs.terminal.options import AsJson, BucketName, Stack


def stop(
    named: Annotated[str, typer.Argument(metavar="RUN", help="The run, or its prefix.")],
    stack: Stack = None,
    bucket: BucketName = None,
    within: Annotated[
        str, typer.Option("--within", help="For how long its next save is waited for.")
    ] = f"{WITHIN_S / 60:.0f}m",
    now: Annotated[
        bool, typer.Option("--now", help="Ask nothing: what is not uploaded is lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """End a run and give its machine back: first its next save, its uploads and its verdict.

    nanochat saves at its regular steps only. Where the next save is due within --within (15m, 90s,
    1h) it is waited for, else the run stops at once; then it uploads what is left, for five minutes
    more at most. A run whose container or bucket does not answer is given back after a minute and a
    half, one of an older image, which does not know that it is asked, at once. Ctrl-C meanwhile
    lets the run go on; the same command again does no harm at any point, and waits for the rest of
    the time only.

    At the end: what was kept, held against what the run listed; what was lost; the hours unused;
    what io.net charged, and refunded as its record before and after shows. Of a machine that is
    given back already this is told from the records, and the ledger is closed. `pulumi up` rents a
    machine and goes on with a run that was stopped; `pulumi destroy` forgets it.

    Example: python -m runs stop main --stack prod

    Exit codes: 0 no machine of the run is left; 1 one is not gone; 2 no such run, or a word is
    wrong; 5 no answer.
    """
    within_s = _seconds(within)
    selector = Selector.from_options(stack=stack, bucket=bucket, run=[named])
    source = Source(selector)
    machines.check_world(source)
    client = machines.open_client(
        source, read_timeout_s=machines.READ_TIMEOUT_S, retry_for_s=machines.RETRY_FOR_S
    )
    target = source.choose_one()
    found = inventory.take(source, client, with_tokens=False)
    theirs = of_run(target, found)
    if not theirs:
        say(f"io.net lists no live machine of {target.run}: there is nothing to give back.")
    ending = Ending(source=source, client=client, found=found, run=target.run, prefix=target.prefix)
    if theirs and not now:
        with shown(target.run) as show:
            came = ending.ask_to_stop(within_s=within_s, show=show)
        if came.why_none:
            say(f"{target.run}: {came.why_none}. Its machine is given back all the same.")
    ids = [machine.deployment_id for machine in theirs]
    choice = reaping.choose(ids, found, force=True, forget=False)
    receipts = [ending.give_back(machine) for machine in choice.give_back]
    if not theirs:
        receipts = [ending.given_back_before()]
    if as_json:
        print_json([receipt.to_json() for receipt in receipts])
        return
    for receipt in receipts:
        for line in receipt.lines():
            out.print(line, markup=False, highlight=False, soft_wrap=True)


def of_run(target: Target, found: Inventory) -> list[Machine]:
    """Return the live machines of a run: those of its prefix, and the one that its stack names."""
    return [
        machine
        for machine in found.machines
        if machine.deployment_id == target.deployment_id or machine.is_of(target.prefix)
    ]


@contextmanager
def shown(run: str) -> Generator[Callable[[str], None]]:
    """Show what is waited for: drawn over on a terminal, elsewhere a line now and then."""
    if moves(talk):
        with talk.status(f"{run}: asking it to stop …") as status:
            yield lambda words: status.update(f"{run}: {words}")
        return
    yield now_and_then(lambda words: say(f"{run}: {words}"), clock=Clock())


def _seconds(said: str) -> float:
    seconds = seconds_of(said)
    if seconds is None:
        raise SettingMissingError(
            f"--within {said}: a number with s, m or h behind it, such as 15m."
        )
    return seconds
