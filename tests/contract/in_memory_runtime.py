"""A double of the container runtime: containers that exist only in memory, driven by tests."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace

from localcloud.caas.runtime.runtime import (
    ContainerSpec,
    FoundContainer,
    PullError,
    RuntimeUnavailableError,
    StreamName,
)


class InMemoryLog:
    """Output that a test writes; ends when the container does."""

    def __init__(self) -> None:
        self._chunks: queue.Queue[bytes | None] = queue.Queue()

    def write(self, chunk: bytes) -> None:
        self._chunks.put(chunk)

    def __iter__(self) -> Iterator[bytes]:
        while (chunk := self._chunks.get()) is not None:
            yield chunk

    def close(self) -> None:
        self._chunks.put(None)


class InMemoryRuntime:
    """Pulls anything but `broken`, and answers on the port unless told otherwise."""

    def __init__(self) -> None:
        self.specs: list[ContainerSpec] = []
        self.pulls: list[tuple[str, str, str]] = []
        self.silent = False
        self.unavailable = False
        self.pull_may_end = threading.Event()
        self.pull_may_end.set()
        self.outputs: dict[str, InMemoryLog] = {}
        self._containers: dict[str, FoundContainer] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def pull(self, image_url: str, *, username: str, secret: str) -> None:
        self._check()
        self.pulls.append((image_url, username, secret))
        if not self.pull_may_end.wait(30):
            raise PullError("the test forgot to let the pull end")
        if "broken" in image_url:
            raise PullError("manifest unknown")

    def start(self, spec: ContainerSpec) -> FoundContainer:
        self._check()
        with self._lock:
            number = next(self._numbers)
            container = FoundContainer(
                runtime_id=f"runtime-{number}",
                attempt_id=spec.attempt_id,
                deployment_id=spec.deployment_id,
                running=True,
                exit_code=None,
                host_port=spec.host_port or 40000 + number,
            )
            self.specs.append(spec)
            self._containers[container.runtime_id] = container
            self.outputs[container.runtime_id] = InMemoryLog()
            return container

    def found(self, deployment_id: str | None = None) -> list[FoundContainer]:
        self._check()
        with self._lock:
            return [
                row
                for row in self._containers.values()
                if deployment_id in (None, row.deployment_id)
            ]

    def remove(self, runtime_id: str, *, grace_s: float) -> None:
        self._check()
        with self._lock:
            self._containers.pop(runtime_id, None)
            self.outputs[runtime_id].close()

    def answers(self, container: FoundContainer, *, timeout_s: float) -> bool:
        return not self.silent

    def log(self, runtime_id: str, *, stream: StreamName, follow: bool) -> InMemoryLog:
        output = self.outputs[runtime_id]
        if not follow:
            output.close()
        return output

    def exit(self, *, exit_code: int) -> None:
        """Let every running container exit by itself."""
        with self._lock:
            for runtime_id, row in self._containers.items():
                self._containers[runtime_id] = replace(row, running=False, exit_code=exit_code)

    def _check(self) -> None:
        if self.unavailable:
            raise RuntimeUnavailableError("switched off by the test")
