"""`runs reap`: shows what this project rents and gives out, and takes back what is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from components.ionet.client import Client
from components.ledger.ledger import WRITE_FOR_S
from runs import giving_back, inventory, machines, reaping, rentals, tokens
from runs.errors import EXIT_FAILED, EXIT_OK, RunsError, SettingMissingError
from runs.giving_back import Ending, give_back
from runs.inventory import Inventory
from runs.machines import Machine
from runs.rentals import Rental
from runs.source.selector import Selector, refuse_together
from runs.source.source import Source
from runs.terminal.console import out, print_json, say
from runs.terminal.options import AsJson, BucketName, Stack
from runs.tokens import RunToken
from runs.view import rental_tables
from runs.waits import waiting

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="A deployment or a token, as listed.", show_default=False),
]


def reap(
    ids: Ids = None,
    stack: Stack = None,
    bucket: BucketName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it nothing is done.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also a machine that the stack's state knows.")
    ] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Also a rental that this account does not show.")
    ] = False,
    ended: Annotated[
        bool, typer.Option("--ended", help="The machines of runs that succeeded.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="With --ended: of runs that failed, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find machines that bill, rentals that nobody shows, and tokens that were left; end them.

    Lists this project's live deployments in the io.net account, what the bucket's ledger of rentals
    says of them and knows besides, and the Cloudflare tokens of runs. No state is needed: key,
    token and bucket do (IOCLOUD_API_KEY, CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID, --bucket).

    With --yes a machine that is named is given back, which ends its training; what it uploaded
    stays. A token is revoked, unless it is younger than a day, or its run has a machine or a beat.
    A rental that is unknown to the account may live, and bill, in another one: --forget closes it
    in the ledger once that account's console shows that it has ended.

    --ended names the machines whose run has the verdict succeeded, but for those that are kept
    alive to serve their model; --failed says that those of failed runs may go too, though their
    hours could mend them. Each is given back with a receipt, the state's ones included: a run that
    has ended is not rented again. `reap --ended --yes` is made for a schedule, and asks nothing.

    "In state" is about the given or selected stack only: what belongs to another stack, or was
    rented just now by a `pulumi up` that still runs, is "no" too. Hours left is a range where
    io.net's minutes can mean two things.

    Example: python -m runs reap --stack dev

    Example: python -m runs reap --bucket my-runs

    Example: python -m runs reap DEPLOYMENT_ID TOKEN_ID --stack dev --yes

    Exit codes: 0 listed, or all of it done or so already; 1 refused, or a machine is not gone; 2 a
    key or a word is missing or wrong; 5 no answer, or the key was refused.
    """
    wanted = list(dict.fromkeys(ids or []))
    refuse_together({"--ended": ended, "an ID": bool(wanted)}, why="each says which machines")
    if failed and not ended:
        raise SettingMissingError("--failed goes with --ended, which takes machines by verdict.")
    alone = next(
        (o for o, said in (("yes", yes), ("forget", forget), ("force", force)) if said), ""
    )
    if alone and not (wanted or ended):
        raise SettingMissingError(
            f"--{alone} is for what is named, and no deployment id or token id is.\n"
            "`python -m runs reap` lists them."
        )
    selector = Selector.from_options(stack=stack, bucket=bucket, stack_beside_bucket=True)
    source = Source(selector)
    machines.check_world(source)
    client = machines.open_client(
        source, read_timeout_s=machines.READ_TIMEOUT_S, retry_for_s=machines.RETRY_FOR_S
    )
    found = inventory.take(source, client)
    for line in found.not_asked:
        say(f"not asked: {line}", style="yellow")
    if ended:
        over = giving_back.of_ended_runs(source, found, failed=failed)
        for line in over.left:
            say(f"left: {line}")
        wanted = [machine.deployment_id for machine in over.give_back]
    choice = reaping.choose(wanted, found, force=force or ended, forget=forget)
    for line in choice.so_already:
        say(line)
    done = Done()
    if yes:
        if found.known is None and choice.give_back:
            say("no state was asked: whether a stack knows these machines was not checked.")
        done = _do(choice, source=source, client=client, found=found, with_receipts=ended)
    _show(found, done=done, stack=selector.stack, as_json=as_json)
    if yes:
        raise typer.Exit(EXIT_OK if done.is_all_of(choice) else EXIT_FAILED)
    _say_how(found, choice, wanted, ended=ended)


@dataclass(frozen=True)
class Done:
    """The IDs that were dealt with."""

    ids: frozenset[str] = frozenset()

    def is_all_of(self, choice: reaping.Choice) -> bool:
        """Say whether nothing of it failed."""
        return self.ids >= {
            *(machine.deployment_id for machine in choice.give_back),
            *(rental.id for rental in (*choice.note, *choice.forget)),
            *(token.id for token in choice.revoke),
        }


def _do(
    choice: reaping.Choice,
    *,
    source: Source,
    client: Client,
    found: Inventory,
    with_receipts: bool,
) -> Done:
    """Do it, the slowest last; what fails is said and keeps nothing else from being done."""
    done: set[str] = set()
    for token in choice.revoke:
        _try(token.id, done, lambda token=token: _revoke(source, token), fails="was not revoked")
    for rental in (*choice.note, *choice.forget):
        _try(rental.id, done, lambda rental=rental: _close(source, rental), fails="stays open")
    for machine in choice.give_back:
        _try(
            machine.deployment_id,
            done,
            lambda machine=machine: _give_back(
                source, client, machine, found=found, with_receipt=with_receipts
            ),
            fails="may still bill",
        )
    return Done(frozenset(done))


def _try(one: str, done: set[str], act: Callable[[], None], *, fails: str) -> None:
    try:
        act()
    except RunsError as error:  # the others still bill: one that fails must not keep them
        say(f"{one} {fails}: {error}\nRun the same again.", style="red")
    else:
        done.add(one)


def _revoke(source: Source, token: RunToken) -> None:
    tokens.revoke(source.cloudflare_client(), token)
    say(f"{token.id} ({token.name}) is revoked.")


def _close(source: Source, rental: Rental) -> None:
    is_asked = rental.entry.state == "asked"
    state = "lost" if is_asked and rental.shown is None else "given back"
    with waiting("the ledger in the bucket", at_most_s=WRITE_FOR_S):
        ledger = rentals.ledger(source.s3_access, bucket=source.bucket)
        rentals.close(ledger, rental, state=state)
    if rental.shown == "ended":
        say(f"{rental.id} has ended, and is closed in the ledger now.")
        return
    say(
        f"{rental.id} ({rental.entry.name}) is closed in the ledger as {state}. io.net was asked "
        "for nothing: if it lives in another account, it bills on there."
    )


def _give_back(
    source: Source, client: Client, machine: Machine, *, found: Inventory, with_receipt: bool
) -> None:
    if not with_receipt:
        give_back(source, client, machine, found=found)
        return
    ending = Ending.of_machine(machine, source=source, client=client, found=found)
    say("\n".join(ending.give_back(machine).lines()))


def _show(found: Inventory, *, done: Done, stack: str, as_json: bool) -> None:
    only_in_ledger, held = found.only_in_ledger, found.tokens or ()
    if as_json:
        view, ids = rental_tables, done.ids
        print_json(
            {
                "machines": [
                    view.machine_json(m, given_back=m.deployment_id in ids) for m in found.machines
                ],
                "rentals": [view.rental_json(r, closed=r.id in ids) for r in only_in_ledger],
                "tokens": [view.token_json(t, revoked=t.id in ids) for t in held],
                "not_asked": list(found.not_asked),
            }
        )
        return
    left = [machine for machine in found.machines if machine.deployment_id not in done.ids]
    unseen = [rental for rental in only_in_ledger if rental.id not in done.ids]
    kept = [token for token in held if token.id not in done.ids]
    if not left:
        any_more = " any more." if len(left) < len(found.machines) else "."
        say(f"io.net lists no live machine of this project{any_more}")
    tables = [
        *([rental_tables.machines(left, ledger_asked=found.rentals is not None)] if left else []),
        *([rental_tables.only_in_ledger(unseen)] if unseen else []),
        *([rental_tables.tokens(kept)] if kept else []),
    ]
    for number, table in enumerate(tables):
        if number:
            out.print()
        out.print(table)
    if found.known is None and (left or unseen):
        say(
            f"? Pulumi knows no stack {stack} here, so no state was asked"
            if stack
            else "? no state was asked: name its stack with --stack"
        )


def _say_how(
    found: Inventory, choice: reaping.Choice, wanted: Sequence[str], *, ended: bool
) -> None:
    """Say what to type next; nothing was done."""
    if ended:
        ids = ", ".join(wanted)
        say(f"of runs that have ended: {ids or 'none'}" + (". Say --yes." if ids else ""))
        return
    if wanted:
        if not choice.is_empty:
            say("Nothing was done: say --yes to do it.")
        return
    command = "python -m runs reap ID --yes"
    if any(machine.in_state is not True for machine in found.machines):
        say(f"To give a machine back:   {command}")
    if any(rental.entry.is_open for rental in found.only_in_ledger):
        say(f"To forget a rental:       {command} --forget")
    if any(not token.kept_because for token in found.tokens or ()):
        say(f"To revoke a token:        {command}")
