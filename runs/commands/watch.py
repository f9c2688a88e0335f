"""`runs watch`: a live panel on a terminal, plain lines elsewhere, until every verdict is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer
from rich.live import Live

from components.config.one_run import with_own_keys
from components.ionet.client import Client
from runs import giving_back, inventory, machines, rented
from runs.errors import EXIT_FAILED, EXIT_OK
from runs.extending import Extender
from runs.giving_back import Ending
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal import formats
from runs.terminal.console import in_colour, json_text, moves, out, say, talk
from runs.terminal.options import AsJson, BucketName, Named, Prefix, Run, Stack, of_either
from runs.view import panel
from runs.view.follower import Follower
from runs.view.logs import tamed
from runs.view.standing import Line, View, WatchLimits, exit_code, worth_a_line

LINE_EVERY_S = 5.0
_TAIL_LINES = 20


def watch(
    named: Named = None,
    stack: Stack = None,
    bucket: BucketName = None,
    prefix: Prefix = None,
    run: Run = None,
    gone_after: Annotated[
        float, typer.Option(min=0.1, help="Minutes of silence that mean: machine gone.")
    ] = 10,
    start_within: Annotated[
        float, typer.Option(min=0.1, help="Minutes until the first sign of life.")
    ] = 30,
    stop_when_done: Annotated[
        bool, typer.Option("--stop-when-done", help="Then give back what succeeded.")
    ] = False,
    extend: Annotated[
        bool, typer.Option("--extend", help="Buy hours for what will not end in time.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Follow runs live until their verdict; Ctrl-C ends the looking, never the run.

    A panel on a terminal, elsewhere one line a change. A beat is what the machine writes every 10
    to 15 s; without one the run is shown as quiet, then as gone. With --stop-when-done the machines
    of the runs that succeeded are given back at the end, with a receipt each, unless they are kept
    alive to serve their model; the key for that is tried out at the beginning.

    With --extend hours are bought for a run that will not end in its bought time, as many as it
    needs: no more for a run altogether than the stack's autoExtend, nothing beyond maxCostUsd or
    maxUsdPerGpuHour, and nothing without the bucket. Several watchers and `pulumi up` together buy
    once. What is bought is shown with its dollars before; this asks for no other yes.

    Example: python -m runs watch --stack dev --run main

    Example: python -m runs watch main --stack prod --extend

    Exit codes: 0 succeeded, 1 failed or a machine is not gone, 3 stopped, 4 no sign of life, 5 no
    access.
    """
    run = of_either(run, named)
    source = Source(Selector.from_options(stack=stack, bucket=bucket, prefix=prefix, run=run))
    limits = WatchLimits(gone_after_s=gone_after * 60, first_beat_within_s=start_within * 60)
    follower = Follower(source.choose(), bucket=source.bucket, limits=limits)
    client = _client_that_answers(source) if stop_when_done or extend else None
    extender = Extender.of(source, client) if client is not None and extend else None
    code = follow(follower, as_json=as_json, extender=extender)
    if client is None or not stop_when_done:
        views = [run.view for run in follower.watched if run.view is not None]
        found = rented.ask(source, [ended for view in views if (ended := rented.ended_of(view))])
        rented.say_rented(found, [(view.prefix, view.run) for view in views])
    else:
        _give_back_what_is_done(source, client, {run.target.prefix for run in follower.watched})
    raise typer.Exit(code)


def follow(follower: Follower, *, as_json: bool, extender: Extender | None = None) -> int:
    """Follow until all runs have ended, and return the exit code of `python -m runs watch`."""
    looks = follower.until_ended()
    if extender is not None:
        looks = _extended(looks, follower, extender)
    drawn = moves(out) and not as_json
    views = _live(looks) if drawn else _lines(looks, follower, as_json=as_json)
    for view in views:
        _say_how_it_ended(view)
    for error in follower.unreadable:
        say(str(error), style="yellow")
    code = exit_code(view.standing for view in views)
    return code if code != EXIT_OK or not follower.unreadable else EXIT_FAILED


def _client_that_answers(source: Source) -> Client:
    """Return a client whose key was tried; what is wrong with it must not come out hours later."""
    machines.check_world(source)
    client = machines.open_client(
        source, read_timeout_s=machines.READ_TIMEOUT_S, retry_for_s=machines.RETRY_FOR_S
    )
    machines.listed(client)
    return client


def _give_back_what_is_done(source: Source, client: Client, prefixes: set[str]) -> None:
    found = inventory.take(source, client, with_tokens=False)
    theirs = [machine for machine in found.machines if machine.prefix in prefixes]
    over = giving_back.of_ended_runs(source, replace(found, machines=theirs), failed=False)
    for line in over.left:
        say(f"left: {line}")
    for machine in over.give_back:
        ending = Ending.of_machine(machine, source=source, client=client, found=found)
        say("\n".join(ending.give_back(machine).lines()))


def _extended(
    looks: Iterator[list[View]], follower: Follower, extender: Extender
) -> Iterator[list[View]]:
    for views in looks:
        yield views
        extender.look(views, now_s=follower.clock.monotonic())


def say_gone(view: View) -> None:
    """Say what a silent machine may mean, and what to do."""
    text = (
        f"{view.run}: {panel.silence(view)}, and there is no verdict. The machine may be gone "
        "while it is still billed.\nSee `python -m runs logs`; `pulumi up` asks io.net, and "
        "resumes the run on a new machine where this one has ended. Where it lives and hangs: "
        "raise trainstack:renew for a new machine, or `pulumi destroy` gives it back."
    )
    say(with_own_keys(text, run=view.run_of_sweep))


def _live(looks: Iterator[list[View]]) -> list[View]:
    views: list[View] = []
    with Live(console=out, auto_refresh=False, vertical_overflow="ellipsis") as live:
        for views in looks:
            live.update(panel.picture(views, height=out.height, width=out.width), refresh=True)
    return views


def _lines(looks: Iterator[list[View]], follower: Follower, *, as_json: bool) -> list[View]:
    printed: dict[str, Line] = {}
    views: list[View] = []
    for views in looks:
        now_s = follower.clock.monotonic()
        for view in views:
            if not worth_a_line(printed.get(view.prefix), view, now_s=now_s, every_s=LINE_EVERY_S):
                continue
            printed[view.prefix] = Line(
                standing=view.standing,
                stage=view.stage,
                attempt=view.status.attempt if view.status else 0,
                step=view.status.step if view.status else None,
                at_s=now_s,
                in_time=view.status.in_time if view.status else "",
            )
            line = json_text(panel.as_json(view)) if as_json else panel.plain_line(view)
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    return views


def _say_how_it_ended(view: View) -> None:
    verdict = view.verdict
    if verdict is None and view.standing == "failed":
        say(
            f"{view.run} has ended on its machine, and there is no verdict: "
            f"{formats.flat(view.reason)}.\nThe machine is still rented and billed: "
            "`pulumi destroy` gives it back."
        )
        return
    if verdict is None:
        say_gone(view)
        return
    say(
        f"{view.run} {view.standing} after {formats.duration(verdict.elapsed_s)}, "
        f"{formats.usd(verdict.dollars)}."
    )
    if view.standing == "failed":
        say(f"Stage {verdict.stage}, exit code {verdict.exit_code}: {formats.flat(verdict.reason)}")
        for line in verdict.log_tail[-_TAIL_LINES:]:
            say(f"  | {tamed(line, colours=in_colour(talk))}")
        say(f"The whole output: python -m runs logs --run {view.run} --stage {verdict.stage}")
