"""The main job on this machine: tools, local cloud, `pulumi up`, its verdict, what came of it.

Each step prints what it does and how long it took. Not responsible for how a step works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from localcloud import services
from localcloud.dev_stack import dev_stack, ready_stack
from localcloud.docker import daemon
from localcloud.errors import LocalCloudError
from localcloud.place import CHECKOUT, PLACE_FILE, load_place, local_folder
from localcloud.pulumi import engine
from localcloud.pulumi.plugins.install import PluginInstallError
from localcloud.pulumi.stack import STACK, Stack, StackError
from localcloud.purge import clear, clouds, still_running

STEPS = 5
PROBLEMS_SHOWN = 10  # a folder that is not ours to delete has thousands
CHILD_ENDS_WITHIN_S = 30
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
    with _told("make up"):
        with step(1, "Tools: Pulumi engine, Docker engine"):
            bin_dir = engine.ensure_engine(report)
            report(f"docker: engine {daemon.ensure_running(report)}")
        with step(2, "Local cloud: S3, registry, CaaS and Cloudflare APIs, dataset mirror"):
            services.start(report)
            place = load_place()
            stack = ready_stack(place, bin_dir, report)
        with step(3, f"pulumi up: stack {STACK}, with the real engine on the real __main__.py"):
            stack.up()
            outputs = stack.outputs()
            report(f"deployment {_each(outputs.get('deployment_id'))}")
        with step(4, "The run, live (Ctrl-C leaves it running)"):
            verdict = _runs(stack, "watch")
        with step(5, "What came of it"):
            _show(outputs, stack)
        print(what_next(verdict, env_path=_relative(place.env_path)))
    raise SystemExit(verdict)


@app.command()
def down() -> None:
    """Destroy stack dev and stop the local cloud; what was trained is kept."""
    folder = local_folder()
    with _told("make down"):
        if (folder / PLACE_FILE).exists():
            place = load_place()
            stack = dev_stack(place)
            if stack.exists():  # only then is an engine needed, which may take minutes to get
                bin_dir = engine.ensure_engine(report)
                services.start(report)
                ready_stack(place, bin_dir, report).destroy()
            services.stop(report)
            print(
                f"\nGiven back: the machine, its credentials, the local cloud.\n"
                f"Kept: the bucket with every artefact, in {_relative(folder / 's3')}.\n"
                "`make up` starts it all again; `make purge` deletes what was kept."
            )
        else:
            print(f"Nothing to give back: {_relative(folder)} holds no local cloud.")
    for other in clouds(folder):
        if running := still_running(other):
            where = _relative(other)
            print(
                f"\nStill running: {', '.join(running)} in {where}, of tests or a benchmark that "
                "are at work or were killed.\nTo stop them: "
                f"TRAINSTACK_LOCAL_DIR={where} .venv/bin/python -m localcloud stop"
            )


@app.command()
def purge(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Stop every local cloud of this checkout; delete artefacts, stack state, keys and ports.

    Needs no working cloud: what stack dev rented is containers of this machine. What cannot be
    stopped is named, and the rest is done.
    """
    folder = local_folder()
    kept = clouds(folder)
    if not folder.is_dir():
        print(f"Nothing to delete: there is no {_relative(folder)}.")
        return
    if not kept and os.environ.get("TRAINSTACK_LOCAL_DIR"):
        raise SystemExit(f"make purge: {folder} holds no local cloud; see TRAINSTACK_LOCAL_DIR")
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {_relative(folder)} with every artefact in it?", abort=True)
    elif not yes:
        raise SystemExit(
            "make purge: no terminal to ask on. To delete the artefacts without being asked: "
            ".venv/bin/python -m localcloud.main_job purge --yes"
        )
    with _told("make purge"):
        _require_idle_stack(folder)
        undone: list[str] = []
        for one in kept:
            print(f"Stopping the local cloud in {_relative(one)}", flush=True)
            undone += clear(one, report)
        undone += _deleted(folder)
    for problem in undone[:PROBLEMS_SHOWN]:
        print(f"Not done: {problem}", file=sys.stderr)
    if folder.exists():
        raise SystemExit(f"make purge: {_relative(folder)} is not deleted")
    print(f"Deleted {_relative(folder)}.")


def what_next(verdict: int, *, env_path: str) -> str:
    """Return what to type after a run; `verdict` is the exit code of `runs watch`."""
    lines = {
        f"source {env_path}": "this world's addresses; `trainstack_leave` leaves it",
    }
    if verdict == 0:
        lines |= {
            "python -m runs loss": "the loss curve",
            "python -m runs chat": "talk with the model",
            "python -m runs pull": "copy every artefact here, verified",
            "pulumi up": "nothing to change",
            "make down": "give the machine back; the artefacts stay",
        }
    else:
        lines |= {
            "python -m runs status": "how the run stands",
            "python -m runs logs": "what it printed",
            "make down": "give the machine back: until then it is billed, whatever became of it",
        }
    rows = [f"  {command:<30}  # {why}" for command, why in lines.items()]
    if verdict == 1:
        rows += ["A run that failed is not repeated by itself: raise trainstack:rerun in"]
        rows += [f"Pulumi.{STACK}.yaml, then `make up`, trains it from the start."]
    return "\n".join(["\nNext, from a shell of your own:", *rows])


@contextmanager
def _told(command: str) -> Iterator[None]:
    """Turn the errors that a user can act on into a message and an exit code."""
    try:
        yield
    except EXPECTED as error:
        raise SystemExit(f"\n{command}: {error}") from None


def _require_idle_stack(folder: Path) -> None:
    try:
        busy = (folder / PLACE_FILE).exists() and dev_stack(load_place(folder)).is_being_changed()
    except LocalCloudError:
        return  # a damaged place is what `purge` is there for
    if busy:
        raise StackError(
            f"a pulumi is changing stack {STACK} now. Wait until it ends, or stop it with Ctrl-C "
            "in its terminal, then try again"
        )


def _deleted(folder: Path) -> list[str]:
    """Delete a folder; return what could not be, a sentence each."""
    failed: list[str] = []
    shutil.rmtree(folder, onerror=lambda _do, path, why: failed.append(f"delete {path}: {why[1]}"))
    return failed


def _show(outputs: dict[str, Any], stack: Stack) -> None:
    print("\nStack outputs")
    width = max(len(name) for name in outputs)
    for name, value in outputs.items():
        print(f"  {name:<{width}}  {_each(value)}")
    print(flush=True)
    _runs(stack, "artifacts")


def _runs(stack: Stack, *words: str) -> int:
    command = [sys.executable, "-m", "runs", *words, "--stack", STACK]
    process = subprocess.Popen(command, cwd=CHECKOUT, env=stack.env)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal sent it to the child too, which has its own word and a cursor to bring back.
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=CHILD_ENDS_WITHIN_S)
        raise


def _each(value: Any) -> str:
    """Show an output: itself, or `run=value` pairs when the stack holds several runs."""
    if isinstance(value, dict):
        return ", ".join(f"{run}={_each(v)}" for run, v in value.items())
    return str(value)


def _relative(path: Path) -> str:
    return str(path.relative_to(CHECKOUT)) if path.is_relative_to(CHECKOUT) else str(path)
