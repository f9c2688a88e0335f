"""The main job on this machine: tools, local cloud, `pulumi up`, its verdict, what came of it.

Each step prints what it does and how long it took. Not responsible for how a step works.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from localcloud import engine, env_file, services
from localcloud.errors import LocalCloudError
from localcloud.place import Place, load_place
from localcloud.plugins.install import PluginInstallError, install_plugins
from localcloud.stack import STACK, Stack, StackError, base_environment

ROOT = Path(__file__).resolve().parent.parent
STEPS = 5
EXIT_INTERRUPTED = 130
EXPECTED = (StackError, LocalCloudError, engine.EngineError, PluginInstallError)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Rehearse a training run on a cloud of this machine's own: real engine, containers, S3.",
)


@contextmanager
def step(number: int, title: str) -> Iterator[None]:
    """Announce a step of `make up`, and say how long it took when it ended well."""
    print(f"\n[{number}/{STEPS}] {title}", flush=True)
    begin = time.monotonic()
    yield
    print(f"      {time.monotonic() - begin:.1f} s", flush=True)


def report(line: str) -> None:
    """Print one line of progress within a step."""
    print(f"      {line}", flush=True)


@app.command()
def up() -> None:
    """Start everything and run the main job; the same again reuses all that is there."""
    try:
        with step(1, "Tools: Pulumi engine and its plugins"):
            bin_dir = engine.ensure_engine(report)
        with step(2, "Local cloud: S3, registry, CaaS and Cloudflare APIs, dataset mirror"):
            services.start(report)
            place = load_place()
            stack = Stack(ROOT, env=env_file.environment(place, base=base_environment()))
            install_plugins(bin_dir / "pulumi", stack.env, report)
        with step(3, f"pulumi up: stack {STACK}, with the real engine on the real __main__.py"):
            stack.up()
            outputs = stack.outputs()
            report(f"deployment {_each(outputs.get('deployment_id'))}")
        with step(4, "The run, live (Ctrl-C leaves it running)"):
            verdict = _runs(stack, "watch")
        with step(5, "What came of it"):
            _show(outputs, stack)
        _say_what_next(place)
    except EXPECTED as error:
        raise SystemExit(f"\nmake up: {error}") from None
    except KeyboardInterrupt:
        print(
            "\nInterrupted; nothing is lost. `make up` goes on from here, `make down` gives back.",
            file=sys.stderr,
        )
        raise SystemExit(EXIT_INTERRUPTED) from None
    raise SystemExit(verdict)


@app.command()
def down() -> None:
    """Destroy stack dev and stop the local cloud; what was trained is kept."""
    place = load_place()
    try:
        bin_dir = engine.ensure_engine(report)
        stack = Stack(ROOT, env=env_file.environment(place, base=base_environment()))
        if stack.exists():
            services.start(report)
            install_plugins(bin_dir / "pulumi", stack.env, report)
            stack.destroy()
        services.stop(report)
    except EXPECTED as error:
        raise SystemExit(f"\nmake down: {error}") from None
    except KeyboardInterrupt:
        print("\nInterrupted; `make down` again goes on from here.", file=sys.stderr)
        raise SystemExit(EXIT_INTERRUPTED) from None
    print(
        f"\nGiven back: the machine, its credentials, the local cloud.\n"
        f"Kept: the bucket with every artefact, in {_relative(place.directory / 's3')}.\n"
        "`make up` starts it all again; `make purge` deletes what was kept."
    )


@app.command()
def purge(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete what `down` keeps: the bucket with its artefacts, stack state, keys and ports."""
    directory = load_place().directory
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {_relative(directory)} with every artefact in it?", abort=True)
    elif not yes:
        raise SystemExit("make purge: no terminal to ask on; say --yes to delete the artefacts")
    shutil.rmtree(directory)
    print(f"Deleted {_relative(directory)}.")


def _show(outputs: dict[str, Any], stack: Stack) -> None:
    print("\nStack outputs")
    width = max(len(name) for name in outputs)
    for name, value in outputs.items():
        print(f"  {name:<{width}}  {_each(value)}")
    print(flush=True)
    _runs(stack, "artifacts")


def _say_what_next(place: Place) -> None:
    env = _relative(place.env_path)
    print(
        f"""
Next, from a shell of your own:
  source {env}            # this world's addresses; `trainstack_leave` leaves it
  python -m runs loss             # the loss curve
  python -m runs chat             # talk with the model
  python -m runs pull             # copy every artefact here, verified
  pulumi up                       # nothing to change
  make down                       # give the machine back; the artefacts stay"""
    )


def _runs(stack: Stack, *words: str) -> int:
    command = [sys.executable, "-m", "runs", *words, "--stack", STACK]
    return subprocess.run(command, cwd=ROOT, env=stack.env, check=False).returncode


def _each(value: Any) -> str:
    """Show an output: itself, or `run=value` pairs when the stack holds several runs."""
    if isinstance(value, dict):
        return ", ".join(f"{run}={_each(v)}" for run, v in value.items())
    return str(value)


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    app()
