"""Background processes that outlive the terminal: start, find again, judge and stop them.

A pid file names a process only together with the time it was created, so a recycled pid is never
taken for ours, and never signalled.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from localcloud.errors import PortTakenError, ServiceFailedError
from localcloud.place import CHECKOUT, write_private

POLL_S = 0.05
PORTS_FREE_S = 10
UNDECLARED_STOP_S = 15  # as long as the slowest service may take
LOG_LINES_IN_ERROR = 15
LOG_LIMIT_BYTES = 5 << 20


@dataclass(frozen=True)
class Service:
    """One background process: how to start it, how to tell that it serves, how long to wait."""

    name: str
    purpose: str
    address: str
    command: Sequence[str]
    healthy: Callable[[], bool] = field(repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: Sequence[int] = ()
    sources: Sequence[Path] = ()  # a change of these files restarts the service
    start_timeout_s: float = 30
    stop_timeout_s: float = 5
    leftovers: Sequence[Path] = ()  # files that the process leaves behind elsewhere
    prepare: Callable[[Callable[[str], None]], None] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Supervised:
    """Where the pid files and logs of a set of services lie."""

    run_folder: Path
    log_folder: Path

    def pid_path(self, name: str) -> Path:
        return self.run_folder / f"{name}.pid"

    def log_path(self, name: str) -> Path:
        return self.log_folder / f"{name}.log"

    def process(self, name: str) -> psutil.Process | None:
        """Return the live process that the pid file names, or None."""
        record = self._record(name)
        if record is None:
            return None
        try:
            process = psutil.Process(int(record["pid"]))
            if abs(process.create_time() - float(record["created"])) > 1:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except (psutil.Error, KeyError, ValueError, TypeError):
            return None
        return process

    def start(self, service: Service, *, cancelled: threading.Event | None = None) -> bool:
        """Make the service run and serve; return False if it already did, as it is declared now.

        A process of an older declaration, or one that does not answer, is stopped first. Raises
        ServiceFailedError with the end of its log, PortTakenError naming who holds its port.
        """
        cancelled = cancelled or threading.Event()
        fingerprint = _fingerprint(service)
        process = self.process(service.name)
        if process is not None:
            same = (self._record(service.name) or {}).get("fingerprint") == fingerprint
            if same and self._wait(service, process, timeout_s=3, cancelled=cancelled):
                return False
            self.stop(service)
        _require_free_ports(service)
        child = self._spawn(service, fingerprint)
        process = psutil.Process(child.pid)
        if self._wait(service, process, timeout_s=service.start_timeout_s, cancelled=cancelled):
            return True
        ended = child.poll()
        reason = (
            f"it ended with exit code {ended}"
            if ended is not None
            else f"it did not answer within {service.start_timeout_s:g} s"
        )
        self.stop(service)
        if cancelled.is_set():
            raise ServiceFailedError(f"{service.name}: stopped while it was starting")
        raise ServiceFailedError(
            f"{service.name} ({service.purpose}) did not start: {reason}.\n"
            f"{self.log_tail(service.name)}\n"
            f"The whole log: {self.log_path(service.name)}"
        )

    def stop(self, service: Service) -> bool:
        """End the service with all its children; return False if it was not running."""
        process = self.process(service.name)
        stopped = process is not None and _end(process, timeout_s=service.stop_timeout_s)
        if stopped:
            _wait_for_free_ports(service)
        self.pid_path(service.name).unlink(missing_ok=True)
        for path in service.leftovers:
            path.unlink(missing_ok=True)
        return stopped

    def recorded(self) -> dict[str, psutil.Process]:
        """Return the live processes that the pid files name, by service."""
        names = sorted(path.stem for path in self.run_folder.glob("*.pid"))
        processes = {name: self.process(name) for name in names}
        return {name: process for name, process in processes.items() if process is not None}

    def stop_recorded(self) -> list[str]:
        """End all of them, without their declarations; return the names of what was running."""
        ended = [
            name
            for name, process in self.recorded().items()
            if _end(process, timeout_s=UNDECLARED_STOP_S)
        ]
        for name in ended:
            self.pid_path(name).unlink(missing_ok=True)
        return ended

    def log_tail(self, name: str, lines: int = LOG_LINES_IN_ERROR) -> str:
        """Return the end of a service's log, indented; says so if there is none."""
        try:
            content = self.log_path(name).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            content = []
        return "\n".join(f"  {line[:300]}" for line in content[-lines:]) or "  (its log is empty)"

    def _spawn(self, service: Service, fingerprint: str) -> subprocess.Popen[bytes]:
        self.run_folder.mkdir(parents=True, exist_ok=True)
        self.log_folder.mkdir(parents=True, exist_ok=True)
        log_path = self.log_path(service.name)
        if log_path.exists() and log_path.stat().st_size > LOG_LIMIT_BYTES:
            log_path.replace(log_path.with_suffix(".log.1"))
        with log_path.open("ab") as log:
            child = subprocess.Popen(
                list(service.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=CHECKOUT,
                env={**os.environ, **service.env},
                start_new_session=True,  # neither Ctrl-C nor a closed terminal reaches it
            )
        created = psutil.Process(child.pid).create_time()
        record = {"pid": child.pid, "created": created, "fingerprint": fingerprint}
        write_private(self.pid_path(service.name), json.dumps(record))
        return child

    def _wait(
        self,
        service: Service,
        process: psutil.Process,
        *,
        timeout_s: float,
        cancelled: threading.Event,
    ) -> bool:
        deadline = time.monotonic() + timeout_s
        while not cancelled.is_set():
            if service.healthy():
                return True
            if not _alive(process) or time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return False

    def _record(self, name: str) -> dict[str, Any] | None:
        try:
            content = json.loads(self.pid_path(name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return content if isinstance(content, dict) else None


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _end(process: psutil.Process, *, timeout_s: float) -> bool:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return False
    # First the process alone, which ends its children as it should; then whatever is left.
    for members, send in (([process], psutil.Process.terminate), (family, psutil.Process.kill)):
        for member in members:
            with suppress(psutil.NoSuchProcess):
                send(member)
        # Not psutil's wait: it counts a zombie, which an idle init may keep for seconds, as alive.
        deadline = time.monotonic() + timeout_s
        while (family := [one for one in family if _alive(one)]) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if not family:
            break
    return True


def _fingerprint(service: Service) -> str:
    """Return a hash of everything that a running process would not notice changing."""
    digest = sha256(repr((list(service.command), sorted(service.env.items()))).encode())
    for source in service.sources:
        files = sorted(source.rglob("*.py")) if source.is_dir() else [source]
        for path in files:
            if path.exists():
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _require_free_ports(service: Service) -> None:
    holder = _held(service)
    if holder is None:
        return
    address, name = holder
    raise PortTakenError(
        f"{service.name} cannot start: port {address}, which this checkout keeps for it, is held "
        f"by {name}. End that process; or, if nothing trained here is of value, `make purge` "
        "chooses new ports"
    )


def _wait_for_free_ports(service: Service) -> None:
    """Wait for what a killed process still holds: its threads end after it is reported dead."""
    deadline = time.monotonic() + PORTS_FREE_S
    while _held(service) is not None and time.monotonic() < deadline:
        time.sleep(POLL_S)


def _held(service: Service) -> tuple[int, str] | None:
    """Return a port of the service that somebody listens on, and who."""
    wanted = set(service.ports)
    if not wanted:
        return None
    for connection in psutil.net_connections(kind="tcp"):
        address = connection.laddr
        if connection.status != psutil.CONN_LISTEN or not address or address.port not in wanted:
            continue
        if not connection.pid:
            return address.port, "a process of another user"
        try:
            return (
                address.port,
                f"process {connection.pid} ({psutil.Process(connection.pid).name()})",
            )
        except psutil.NoSuchProcess:
            continue
    return None
