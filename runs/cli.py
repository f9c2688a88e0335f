"""`python -m runs`: the commands under one name, and how each error ends the process.

The commands are in commands/; exit codes are in errors.py.
"""

from __future__ import annotations

import os
import sys

import typer

from runs import acting, looking
from runs.commands import reap
from runs.errors import EXIT_OK, RunsError
from runs.terminal.options import say

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
looking.register(app)
acting.register(app)
reap.register(app)


def main() -> None:
    """Run the command line; end the process with the documented exit code."""
    try:
        app(prog_name="python -m runs")
    except RunsError as error:
        say(f"runs: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `python -m runs logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_OK)
