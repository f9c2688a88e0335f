"""The processes of a stage, as the kernel knows them; no decision about any.

A process group is not enough: torchrun starts each rank in a session of its own. What a stage
starts inherits its environment, so a variable in it tells whose child a process is.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

MARK = "TRAINSTACK_STAGE"
SHELL_SIGNAL = 128  # a shell's exit code for a child that a signal ended: 128 + its number
_PR_SET_DUMPABLE = 4
_MEMORY = "the host's memory may have run out"


def hide_environment() -> None:
    """Let no other process read this one's environment and memory; what it starts is as before.

    Code that the model wrote has the same user, and would find the bucket's key in /proc: proc(5).
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def exit_reason(code: int) -> str:
    """Return what an exit code says, in words."""
    if code == SHELL_SIGNAL + signal.SIGKILL:
        return f"exit code {code}, a child ended by signal SIGKILL; {_MEMORY}"
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
        hint = f"; {_MEMORY}" if -code == signal.SIGKILL else ""
        return f"ended by signal {name}{hint}"
    return f"exit code {code}"


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each; silent about those that are gone."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def members(group: int, *, mark: str) -> list[int]:
    """Return the living processes of a group, and those that bear the mark, the group's first."""
    mine: list[int] = []
    theirs: list[int] = []
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            if _is_zombie(entry):
                continue
            if os.getpgid(pid) == group:
                mine.append(pid)
            elif wanted in (entry / "environ").read_bytes().split(b"\0"):
                theirs.append(pid)
        except OSError:
            continue
    return mine + theirs


def _is_zombie(entry: Path) -> bool:
    return (entry / "stat").read_bytes().rpartition(b")")[2].split()[:1] == [b"Z"]


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler: without one SIGUSR1 would end it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)
