"""`runs reap`: shows what this project rents at io.net, and gives back what is named with --yes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from components.ionet.client import Client
from runs import machines
from runs.errors import EXIT_FAILED, EXIT_OK, RunsError, SettingMissingError
from runs.machines import Machine
from runs.source.selector import Selector
from runs.source.source import Source
from runs.terminal.console import out, print_json, say, talk
from runs.terminal.options import AsJson, Stack
from runs.view import tables

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[DEPLOYMENT_ID]...", help="What to give back.", show_default=False),
]


def reap(
    deployment_ids: Ids = None,
    stack: Stack = "",
    yes: Annotated[bool, typer.Option("--yes", help="Give back; without it nothing is.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also a machine that the stack's state knows.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find machines that bill and that no stack knows; give them back by id with --yes.

    Lists this project's live deployments in the io.net account, also when every state is lost.
    "In state" is about the given or selected stack only: a machine of another stack, or one that
    a running `pulumi up` has just rented, is "no" too. Hours left is a range where io.net's
    minutes can mean two things. Giving back ends the training; what it uploaded stays.

    Example: python -m runs reap --stack dev

    Exit codes: 0 listed, or all given back; 1 a machine was refused or is not gone; 2 a key or a
    word is missing or wrong; 5 no answer, or the key was refused.
    """
    wanted = list(dict.fromkeys(deployment_ids or []))
    if yes and not wanted:
        raise SettingMissingError(
            "--yes gives back only what is named, and no deployment id is.\n"
            "`python -m runs reap` lists them."
        )
    source = Source(Selector(stack=stack))
    with talk.status("asking io.net and the stack's state …"):
        machines.check_world(source)
        known = machines.known_ids(source)
        client = machines.open_client(
            source, read_timeout_s=machines.READ_TIMEOUT_S, retry_for_s=machines.RETRY_FOR_S
        )
        listed = machines.machines(client, machines.living(client), known=known)
    chosen = choose(listed, wanted, force=force) if wanted else []
    if yes and known is None:
        say("no stack is selected: whether one knows these machines was not checked.")
    gone = _give_back(client, chosen) if yes else frozenset[str]()
    _show(listed, gone=gone, as_json=as_json)
    if yes:
        raise typer.Exit(EXIT_OK if len(gone) == len(chosen) else EXIT_FAILED)
    if chosen:
        say("Nothing was given back: say --yes to do it.")
    elif any(machine.in_state is not True for machine in listed):
        say("To give one back: python -m runs reap DEPLOYMENT_ID --yes")


def choose(listed: Sequence[Machine], wanted: Sequence[str], *, force: bool) -> list[Machine]:
    """Return the machines of these ids; raises before anything is given back.

    SettingMissingError for an id that is not listed, RunsError for one that the state knows, which
    its stack would otherwise go on believing in.
    """
    by_id = {machine.deployment_id: machine for machine in listed}
    strange = [deployment_id for deployment_id in wanted if deployment_id not in by_id]
    if strange:
        raise SettingMissingError(
            f"io.net lists no live machine of this project with the id {', '.join(strange)}; "
            "nothing was given back.\n`python -m runs reap` lists them."
        )
    chosen = [by_id[deployment_id] for deployment_id in wanted]
    known = [machine.deployment_id for machine in chosen if machine.in_state]
    if known and not force:
        raise RunsError(
            f"the stack's state knows {', '.join(known)}; nothing was given back.\n"
            "`pulumi destroy` gives it back and forgets it; or say --force."
        )
    return chosen


def _give_back(client: Client, chosen: Sequence[Machine]) -> frozenset[str]:
    gone: set[str] = set()
    for machine in chosen:
        say(f"giving back {machine.deployment_id} ({machine.name}) …")
        try:
            with talk.status("waiting until io.net says that it is gone …"):
                machines.give_back(client, machine.deployment_id)
        except RunsError as error:  # the others still bill: one that fails must not keep them
            say(
                f"{machine.deployment_id} may still bill: {error}\n"
                "Run the same again, and look at io.net's console.",
                style="red",
            )
        else:
            gone.add(machine.deployment_id)
            say(f"{machine.deployment_id} is gone.")
    return frozenset(gone)


def _show(listed: Sequence[Machine], *, gone: frozenset[str], as_json: bool) -> None:
    if as_json:
        print_json([tables.machine_json(m, given_back=m.deployment_id in gone) for m in listed])
        return
    left = [machine for machine in listed if machine.deployment_id not in gone]
    if not left:
        say("io.net lists no live machine of this project" + (" any more." if gone else "."))
        return
    out.print(tables.machines(left))
    if any(machine.in_state is None for machine in left):
        say("? no stack is selected, so no state was asked: name one with --stack")
