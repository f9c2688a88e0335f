"""The local cloud's commands: `python -m localcloud --help`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from localcloud import env_file, services
from localcloud.dev_stack import ready_stack
from localcloud.errors import LocalCloudError
from localcloud.place import CHECKOUT, Place, load_place
from localcloud.pulumi import engine
from localcloud.pulumi.plugins.install import PluginInstallError
from localcloud.pulumi.stack import STACK, StackError

WIDTH = 160  # addresses are to be copied, so they are never cut
EXIT_FAILED = 1
EXPECTED = (LocalCloudError, PluginInstallError, StackError, engine.EngineError)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A cloud on this machine, for rehearsals: object storage, image registry, data set "
    "mirror, and stand-ins for the APIs of Cloudflare and io.net, whose deployments are containers "
    "of the local Docker engine.\n\n"
    "Results go to stdout, talk to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, "
    "3 (status) something is not healthy.",
)
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Name(StrEnum):
    """A service with a log."""

    S3 = "s3"
    REGISTRY = "registry"
    MIRROR = "mirror"
    CLOUDFLARE = "cloudflare"
    CAAS = "caas"


@app.command()
def start(as_json: Json = False) -> None:
    """Start everything; what already runs is left alone, what died is started again.

    Needs a Docker engine, or Debian and root to install one. Writes the env file to source; where a
    Pulumi engine is, makes it ready for `pulumi up`, else says how to get one. With
    TRAINSTACK_CLOCK_SPEED=60 a paid hour is over in a minute: to see what the end of a rental does.
    """
    place = services.start(_say)
    _say(f"\n{next_steps(place)}")
    if as_json:
        _show_json()


@app.command()
def stop() -> None:
    """Stop everything: no process, container or network stays. Stored data does.

    The Docker engine is stopped too if it was started from here and holds no other container.
    """
    services.stop(_say)
    _say(
        "\nStored data stays: `python -m localcloud start` goes on with it, `make purge` deletes it"
    )


@app.command()
def status(as_json: Json = False) -> None:
    """Show each service with its address, process and health; exits 3 unless all are healthy."""
    statuses = services.status()
    if as_json:
        _show_json()
    else:
        table = Table(box=None, pad_edge=False)
        for title in ("service", "health", "pid", "address", "what"):
            table.add_column(title, no_wrap=True, overflow="ignore")
        for one in statuses:
            pid = str(one.pid) if one.pid else "-"
            table.add_row(one.name, one.health, pid, one.address, one.purpose)
        Console(width=WIDTH).print(table, crop=False)
    if any(one.health != "healthy" for one in statuses):
        _say("`python -m localcloud start` starts what is not; `logs SERVICE` says why it ended")
        raise typer.Exit(3)


@app.command()
def logs(
    service: Annotated[Name, typer.Argument(help="Whose log.")],
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Print the end of a service's log. What a run itself says: `python -m runs logs`."""
    path = services.log_path(service)
    if not path.exists():
        _say(f"{service} has no log yet; `python -m localcloud start` makes it start")
        raise typer.Exit(EXIT_FAILED)
    if as_json:
        content = path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        print(json.dumps({"service": service, "path": str(path), "lines": content}, indent=2))
        return
    words = ["tail", "-n", str(lines), *(["-F"] if follow else []), str(path)]
    raise typer.Exit(subprocess.run(words, check=False).returncode)


@app.command()
def env(as_json: Json = False) -> None:
    """Print the env file of this checkout; in a shell:  source .local/env"""
    place = load_place()
    if as_json:
        path = ":".join(env_file.program_folders())
        print(json.dumps({**env_file.variables(place), "PATH": f"{path}:$PATH"}, indent=2))
        return
    env_file.write_env_file(place)
    print(place.env_path.read_text(encoding="utf-8", errors="surrogateescape"), end="")
    _say(f"# source {place.env_path}")


def main() -> None:
    """Run a command; an error that the user can act on is a message, never a traceback."""
    try:
        app(prog_name="python -m localcloud")
    except EXPECTED as error:
        raise SystemExit(f"\nlocalcloud: {error}") from None


def next_steps(place: Place) -> str:
    """Prepare what `pulumi` needs here, if there is one; return what to type next."""
    engine_folder = engine.found_engine()
    if engine_folder is None:
        return (
            "No Pulumi engine is here yet. Get it, then start again:\n"
            "  python -m localcloud.pulumi.engine install && python -m localcloud start"
        )
    ready_stack(place, engine_folder, _say)
    rows = {
        f"source {place.env_path}": "enters this world",
        f"cd {CHECKOUT}": "where Pulumi.yaml lies",
        f"pulumi up --stack {STACK}": "rents in it, for nothing",
        "trainstack_leave": "leaves it",
    }
    if Path.cwd() == CHECKOUT:
        del rows[f"cd {CHECKOUT}"]
    width = max(map(len, rows))
    return "\n".join(
        [
            "Next, from a shell of your own:",
            *(f"  {row:<{width}}  # {why}" for row, why in rows.items()),
        ]
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _show_json() -> None:
    print(json.dumps([asdict(one) for one in services.status()], indent=2))
