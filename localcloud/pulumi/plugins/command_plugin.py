"""A stand-in for the command plugin 1.2.1: `local.Command`, run on this machine.

Left out of the real one: `assetPaths` and `archivePaths`, which are refused by name.
"""

import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from typing import IO, Any, ClassVar

from localcloud.pulumi.plugins.resource import Call, PluginError, Properties, Resource, Shape
from localcloud.pulumi.plugins.serve import serve
from localcloud.pulumi.plugins.standin import StandIn

VERSION = "1.2.1"

KILL_AFTER_S = 5.0
"""How long a command that is cancelled or over its time has to end by itself."""

_LOGGED = {
    None: {"stdout", "stderr"},
    "stdoutAndStderr": {"stdout", "stderr"},
    "stdout": {"stdout"},
    "stderr": {"stderr"},
    "none": set[str](),
}


class Command(Resource):
    """A command that runs on create, on update (`update`, else `create`) and on delete.

    What it prints lies in the state in plain text, whatever its inputs are, and passes by on the
    terminal without staying under Diagnostics: both as with the official plugin.
    """

    type: ClassVar[str] = "command:local:Command"
    inputs: ClassVar[Mapping[str, Shape]] = {
        "create": None,
        "update": None,
        "delete": None,
        "dir": None,
        "environment": None,
        "stdin": None,
        "interpreter": None,
        "triggers": None,
        "logging": None,
        "addPreviousOutputInEnv": None,
    }
    replaces: ClassVar[frozenset[str]] = frozenset({"triggers"})
    unsettled: ClassVar[frozenset[str]] = frozenset({"stdout", "stderr"})

    def check(self, call: Call, inputs: Properties) -> Properties:
        choice = inputs.get("logging")
        if isinstance(choice, str) and choice not in _LOGGED:
            known = ", ".join(name for name in _LOGGED if name)
            raise PluginError(f"logging of {call.name} is {choice}; it may be one of {known}.")
        return inputs

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        outputs = _run(call, inputs.get("create"), inputs, {})
        return f"{call.name}{secrets.token_hex(4)}", outputs

    def read(self, call: Call, id_: str, state: Properties) -> tuple[str, Properties] | None:
        # What a command did cannot be read back, so an import has nothing to find either.
        return (id_, state) if state else None

    def update(self, call: Call, id_: str, old: Properties, new: Properties) -> Properties:
        return _run(call, new.get("update", new.get("create")), new, old)

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        _run(call, state.get("delete"), state, state)


def _run(call: Call, command: Any, inputs: Properties, old: Properties) -> Properties:
    if command is None:
        return {name: old.get(name, "") for name in ("stdout", "stderr")}
    arguments = [*(inputs.get("interpreter") or ["/bin/sh", "-c"]), str(command)]
    try:
        process = subprocess.Popen(
            arguments,
            cwd=inputs.get("dir"),
            env=_environment(inputs, old),
            stdin=subprocess.PIPE if inputs.get("stdin") else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise PluginError(f"running {str(command)!r} failed: {error}") from error
    talk = _Talk(call, logged=_LOGGED[inputs.get("logging")])
    readers = [
        threading.Thread(target=talk.read, args=(stream, name), daemon=True)
        for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr"))
    ]
    for reader in readers:
        reader.start()
    _feed(process, inputs.get("stdin"))
    why = _wait(process, call)
    for reader in readers:
        reader.join(KILL_AFTER_S)
    if why is not None or process.returncode != 0:
        status = process.returncode
        how = why or (f"signal {-status}" if status < 0 else f"exit status {status}")
        raise PluginError(f"{how}: running {str(command)!r}:\n{talk.both}")
    return {name: text.removesuffix("\n") for name, text in talk.parts.items()}


class _Talk:
    """What a command says: kept apart, kept together, and shown line by line."""

    def __init__(self, call: Call, *, logged: set[str]) -> None:
        self.parts = {"stdout": "", "stderr": ""}
        self.both = ""
        self._call = call
        self._logged = logged
        self._lock = threading.Lock()

    def read(self, stream: IO[bytes], name: str) -> None:
        """Read to the end."""
        for line in stream:
            text = line.decode(errors="replace")
            with self._lock:
                self.parts[name] += text
                self.both += text
            if name in self._logged:
                # As the official one does: shown while it runs, and gone from what stays.
                self._call.log(text.rstrip("\n"), passing=True)


def _environment(inputs: Properties, old: Properties) -> dict[str, str]:
    environment = {**os.environ, **{k: str(v) for k, v in inputs.get("environment", {}).items()}}
    if inputs.get("addPreviousOutputInEnv", True):
        for name in ("stdout", "stderr"):
            if old.get(name):
                environment[f"PULUMI_COMMAND_{name.upper()}"] = str(old[name])
    return environment


def _feed(process: subprocess.Popen[bytes], text: str | None) -> None:
    if process.stdin is None:
        return
    try:
        process.stdin.write(str(text).encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it ended without reading; its exit status says the rest


def _wait(process: subprocess.Popen[bytes], call: Call) -> str | None:
    """Wait for the end; return why it was ended early, if it was."""
    begin = time.monotonic()
    while True:
        try:
            process.wait(0.2)
            return None
        except subprocess.TimeoutExpired:
            over = 0 < call.timeout_s < time.monotonic() - begin
            if not over and not call.cancelled.is_set():
                continue
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return f"not done within {call.timeout_s:.0f} s" if over else "cancelled"


def main() -> None:
    """Serve the engine."""
    serve(StandIn("command", [Command()]), VERSION)
