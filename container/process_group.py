"""Process groups, as the kernel knows them; no decision about any."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path


def exit_reason(code: int) -> str:
    """Return what an exit code says, in words."""
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
        hint = "; the host's memory may have run out" if -code == signal.SIGKILL else ""
        return f"ended by signal {name}{hint}"
    return f"exit code {code}"


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a group; silent when there are none."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return


def members(group: int) -> list[int]:
    """Return the processes of a group."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler: without one SIGUSR1 would end it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)
