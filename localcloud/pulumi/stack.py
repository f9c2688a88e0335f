"""Stack `dev` through the Pulumi CLI: select, heal after a killed engine, up, outputs, destroy.

Not responsible for the services that the stack runs against, nor for what is declared.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from container.contract.redacted import RedactedError

STACK = "dev"
PROJECT = "trainstack"
CREATE_ENDS_WITHIN_S = 60
_PLUGINS = ("pulumi-resource-", "pulumi-language-")
# Without the folders above: what a killed engine left may be of a checkout from before a move.
_STARTED_BY_ENGINE = ("/plugins/start.py", "/language_host.py", "/run_program.py")


class StackError(RedactedError):
    """A Pulumi command failed, or may not run now; the message says which and what to do."""


@dataclass(frozen=True)
class Lock:
    """Who holds a stack of the file backend, as its lock file says."""

    path: Path
    pid: int
    hostname: str


LockState = Literal["held", "stale", "unknown"]


def judge_lock(lock: Lock, *, this_host: str, engine_pids: frozenset[int]) -> LockState:
    """Tell whether the engine that wrote the lock is at work.

    Stale needs proof: the same host, and no living engine of that number. A lock of another host
    proves nothing, and is left to a person.
    """
    if lock.hostname != this_host:
        return "unknown"
    return "held" if lock.pid in engine_pids else "stale"


class Stack:
    """The dev stack of one checkout; `env` is the local world's whole environment."""

    def __init__(self, root: Path, *, env: Mapping[str, str]) -> None:
        self.root = root
        self.env = {**env}

    def up(self) -> None:
        """Select or make the stack, heal it when its last engine was killed, and bring it up.

        Raises StackError when another engine is at work or the update fails; what was rented by
        then is in the stack's state, and the same call again goes on from there.
        """
        self.select()
        if self.heal():
            self._run("refresh", "--yes", "--clear-pending-creates", "--skip-preview")
        self._run("up", "--yes", "--skip-preview", "--suppress-outputs")

    def exists(self) -> bool:
        """Tell whether the backend knows the stack."""
        return (self._state_dir() / "stacks" / PROJECT / f"{STACK}.json").exists()

    def destroy(self) -> None:
        """Destroy everything in the stack; raises StackError when something could not be."""
        if self.heal():
            self._run("refresh", "--yes", "--clear-pending-creates", "--skip-preview")
        self._run("destroy", "--yes", "--skip-preview", "--suppress-outputs")

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """Return the stack outputs; a secret reads `[secret]` unless asked for."""
        secrets = ["--show-secrets"] if show_secrets else []
        printed = self._capture("stack", "output", "--json", *secrets)
        outputs: dict[str, Any] = json.loads(printed)
        return outputs

    def heal(self) -> bool:
        """Release the lock of a killed engine; return whether there was one.

        Providers outlive their engine and may be in the middle of a call, so they are asked to end
        first. Raises StackError when the lock belongs to a living engine or to another host.
        """
        locks = self._locks()
        if not locks:
            return False
        self._require_idle(locks)
        print(
            f"      the last pulumi (process {locks[0].pid}) was killed in the middle of its work; "
            "releasing its lock.\n      What it rented is looked up by name and adopted, "
            "not rented again.",
            flush=True,
        )
        self._end_orphans()
        self._run("cancel", "--yes", quiet=True)
        return True

    def is_being_changed(self) -> bool:
        """Tell whether an engine of this machine is surely at work on the stack."""
        try:
            locks = self._locks()
        except StackError:
            return False
        this_host = socket.gethostname()
        engines = _engine_pids()
        return any(judge_lock(x, this_host=this_host, engine_pids=engines) == "held" for x in locks)

    def _require_idle(self, locks: list[Lock]) -> None:
        this_host = socket.gethostname()
        engines = _engine_pids()
        for lock in locks:
            state = judge_lock(lock, this_host=this_host, engine_pids=engines)
            if state == "held":
                raise StackError(
                    f"stack {STACK} is being changed by another pulumi (process {lock.pid}).\n"
                    "Wait until it ends, or stop it with Ctrl-C in its terminal, then try again."
                )
            if state == "unknown":
                raise StackError(
                    f"stack {STACK} is locked by process {lock.pid} on host {lock.hostname}, and "
                    f"this is {this_host}.\nIf no pulumi runs there any more: "
                    f"source .local/env && pulumi cancel --yes --stack {STACK}"
                )

    def _end_orphans(self) -> None:
        """End provider and program processes that a killed engine of this world left behind."""
        orphans = orphans_of(self.env["PULUMI_HOME"])
        for orphan in orphans:
            with suppress(psutil.NoSuchProcess):
                orphan.terminate()
        _, alive = psutil.wait_procs(orphans, timeout=CREATE_ENDS_WITHIN_S)
        for orphan in alive:
            with suppress(psutil.NoSuchProcess):
                orphan.kill()

    def _locks(self) -> list[Lock]:
        folder = self._state_dir() / "locks" / "organization" / PROJECT / STACK
        locks: list[Lock] = []
        for path in sorted(folder.glob("*.json")):
            try:
                content = json.loads(path.read_text())
                locks.append(Lock(path, pid=int(content["pid"]), hostname=str(content["hostname"])))
            except FileNotFoundError:
                continue  # released between the listing and the reading
            except (ValueError, KeyError) as error:
                raise StackError(
                    f"the lock file {path} cannot be read ({error}).\n"
                    "A killed engine can leave it half-written: delete it and try again."
                ) from None
        return locks

    def _state_dir(self) -> Path:
        return Path(self.env["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi"

    def select(self) -> None:
        """Select the stack; make it when the backend does not know it."""
        self._run("stack", "select", "--create", STACK, quiet=True, named=False)

    def _capture(self, *words: str) -> str:
        command = ["pulumi", *words, "--stack", STACK, "--non-interactive"]
        done = subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise StackError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()}")
        return done.stdout

    def _run(self, *words: str, quiet: bool = False, named: bool = True) -> None:
        stack = ["--stack", STACK] if named else []
        command = ["pulumi", *words, *stack]
        if quiet or not sys.stdout.isatty():
            command.append("--non-interactive")
        output = subprocess.PIPE if quiet else None
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if quiet else None,
            text=True,
        )
        try:
            talk, _ = process.communicate()
        except KeyboardInterrupt:
            # The terminal sent SIGINT to pulumi too: it stores what it has and releases its lock.
            _wait_for_its_own_end(process)
            raise
        if process.returncode != 0:
            detail = f":\n{talk.strip()}" if quiet else " (see above)"
            raise StackError(f"`pulumi {words[0]}` of stack {STACK} failed{detail}")


def _wait_for_its_own_end(process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + CREATE_ENDS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            process.send_signal(signal.SIGTERM)


def orphans_of(pulumi_home: str) -> list[psutil.Process]:
    """Return the providers and programs of this PULUMI_HOME that no living engine is above.

    Whose child an orphan becomes says nothing: init, or any subreaper (`systemd --user`).
    """
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if (
                is_engines_child(process.cmdline())
                and process.environ().get("PULUMI_HOME") == pulumi_home
                and not any(_is_engine(one) for one in process.parents())
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def is_engines_child(command: Sequence[str]) -> bool:
    """Tell whether a command line is that of a provider, a language host or a program."""
    program, *words = command or [""]
    if Path(program).name.startswith(_PLUGINS):
        return True
    if not Path(program).name.startswith(("python", "sh", "bash", "dash")):
        return False  # an editor or a pager of such a file
    script = next((word for word in words if not word.startswith("-")), "")
    return (
        script == "pulumi.dynamic"
        or script.endswith(_STARTED_BY_ENGINE)
        or Path(script).name.startswith(_PLUGINS)
    )


def _engine_pids() -> frozenset[int]:
    return frozenset(one.pid for one in psutil.process_iter(["name"]) if _is_engine(one))


def _is_engine(process: psutil.Process) -> bool:
    try:
        return process.name() == "pulumi" and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def base_environment() -> dict[str, str]:
    """Return this process's environment without what would point Pulumi at another world."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")}
