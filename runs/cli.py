"""`python -m runs`: the commands under one name, and how each error ends the process.

The commands are in commands/; exit codes are in errors.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import typer

from runs import same_place
from runs.commands.again import again
from runs.commands.artifacts import artifacts
from runs.commands.chat import chat
from runs.commands.cost import cost
from runs.commands.doctor import doctor
from runs.commands.list import list_runs
from runs.commands.logs import logs
from runs.commands.loss import loss
from runs.commands.pull import pull
from runs.commands.quote import quote
from runs.commands.reap import reap
from runs.commands.rm import rm
from runs.commands.status import status
from runs.commands.stop import stop
from runs.commands.watch import watch
from runs.errors import SettingMissingError
from runs.source.selector import Selector
from runs.terminal.ending import ending_as_documented
from runs.terminal.waiting import telling

HELP = """Look at training runs, and fetch what came of them.

Where to look comes from the outputs of a Pulumi stack (--stack, else the selected one), or from
--bucket and --prefix. The bucket is read with CLOUDFLARE_API_TOKEN (else the stack's config), or
with R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY. Results go to stdout, talk to stderr.

Exit codes: 0 asked and answered (watch: all succeeded), 1 a run, a copy or a check failed, 2 a
word or a setting is missing, 3 a run was stopped, 4 no sign of life from the machine, 5 no
answer or no access, 130 Ctrl-C."""

app = typer.Typer(
    name="runs",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=HELP,
)

_LOOKED = "Interrupted; no run was touched."
_STILL_PAID = (
    "Not watching any more; the run goes on, and is paid for. Look again: `python -m runs watch`."
)
# Function, name, what `--help` says of it, and what Ctrl-C leaves behind; in the order of `--help`.
COMMANDS = (
    (list_runs, "list", "List all runs in the bucket.", _LOOKED),
    (status, "status", "Say how runs stand now.", _LOOKED),
    (
        watch,
        "watch",
        "Follow runs live until their verdict.",
        _STILL_PAID,
    ),
    (logs, "logs", "Print a run's whole output.", _LOOKED),
    (loss, "loss", "Draw the loss curve.", _LOOKED),
    (quote, "quote", "Say what runs would cost now.", "Interrupted; nothing was bought."),
    (again, "again", "Say whether a failed `pulumi up` is worth repeating.", _LOOKED),
    (cost, "cost", "Say what runs cost.", _LOOKED),
    (artifacts, "artifacts", "List what a finished run left.", _LOOKED),
    (
        pull,
        "pull",
        "Copy a run's artefacts here, verified by hash.",
        "Interrupted. The same again goes on from here.",
    ),
    (chat, "chat", "Talk with a run's model on its machine.", "Interrupted. The run goes on."),
    (
        doctor,
        "doctor",
        "Check every key and address.",
        "Interrupted. Nothing was changed; a token that was tried out expires within a minute.",
    ),
    (
        rm,
        "rm",
        "Delete what a run left in the bucket (dry run unless --yes).",
        "Interrupted. Some of it may be deleted; the same again goes on.",
    ),
    (
        stop,
        "stop",
        "End a run after its next save, and give its machine back.",
        "Interrupted; `python -m runs reap` shows what bills. To go on, stop the run once more.",
    ),
    (
        reap,
        "reap",
        "Find machines, rentals and tokens that were left; end them.",
        "Interrupted. What was asked to end may end later: list again with `python -m runs reap`.",
    ),
)
# The parameters of each command.
TAKES = {name: frozenset(inspect.signature(command).parameters) for command, name, *_ in COMMANDS}


def place_of(name: str, words: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Return within what messages know where this command looks; nowhere for what is refused."""
    said = {option: words.get(option) for option in ("stack", "bucket", "prefix", "run")}
    try:
        found = Selector.from_options(**said, stack_beside_bucket=True)
    except SettingMissingError:
        found = Selector()
    stack = "" if found.stack_from_environment else found.stack
    options = {"stack": stack, "bucket": found.bucket, "prefix": found.prefix, "run": found.run}
    return same_place.typed(name, options, takes=TAKES)


for _command, _name, _purpose, _comfort in COMMANDS:
    _ending = ending_as_documented(_command, comfort=_comfort, place=partial(place_of, _name))
    app.command(_name, short_help=_purpose)(_ending)


def main() -> None:
    """Run the command line; end the process with the documented exit code.

    What nobody foresaw is raised: container/contract/edge.py says it.
    """
    with telling():
        app(prog_name="python -m runs")
