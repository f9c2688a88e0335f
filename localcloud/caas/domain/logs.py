"""The output of a container as a stream of lines, from the first one to the container's exit."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from localcloud.caas.domain import deployments, workers
from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.domain.records import Attempt
from localcloud.caas.errors import NotFoundError
from localcloud.caas.runtime.runtime import LogStream, StreamName

# Where a log that is cut breaks off, and how often one that stays open says that it lives.
CUT_AFTER_LINES = 20
KEEP_ALIVE_S = 15.0


class _Whole:
    """A log that has ended, in the form of a stream."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        """Nothing is open."""


def opened(
    cloud: Cloud, deployment_id: uuid.UUID, container_id: str, *, stream: StreamName
) -> LogStream:
    """Find the output of a container, which may be running; raise NotFoundError when it is gone."""
    deployment = deployments.found(cloud, deployment_id)
    attempt = workers.attempt(cloud, deployment, container_id, ended_too=True)
    kept = cloud.store.kept_log(attempt.attempt_id, stream)
    if kept is not None:
        return _Whole([kept])
    if not deployment.live or not attempt.current:
        raise NotFoundError("Container logs not found")
    runtime_id = _runtime_id(cloud, attempt)
    return (
        _Whole([])
        if runtime_id is None
        else cloud.runtime.log(runtime_id, stream=stream, follow=True)
    )


async def lines(cloud: Cloud, source: LogStream, *, offset: int) -> AsyncIterator[bytes]:
    """Yield lines as they come, skipping the first `offset`; closes the source at its end."""
    now = cloud.switches.current
    prefix, end = (b"data: ", b"\n\n") if now.log_framing == "sse" else (b"", b"\n")
    count = 0
    async for line in _split(source):
        count += 1
        if now.log_end == "cut" and count > CUT_AFTER_LINES:
            raise ConnectionAbortedError("the log stream is cut, as asked")
        if count > offset:
            yield prefix + line + end
    while now.log_end == "stays_open":
        await asyncio.sleep(KEEP_ALIVE_S)
        yield b": keep-alive\n\n"


def _runtime_id(cloud: Cloud, attempt: Attempt) -> str | None:
    """A container may run before the store has its runtime's id."""
    if attempt.runtime_id:
        return attempt.runtime_id
    return next(
        (
            container.runtime_id
            for container in cloud.runtime.found(attempt.deployment_id)
            if container.attempt_id == attempt.attempt_id
        ),
        None,
    )


async def _split(source: LogStream) -> AsyncIterator[bytes]:
    # One thread a stream: a quiet container must not hold a thread that requests need.
    reader = ThreadPoolExecutor(1, thread_name_prefix="caas-log")
    loop = asyncio.get_running_loop()
    chunks = iter(source)
    rest = b""
    try:
        while True:
            chunk = await loop.run_in_executor(reader, next, chunks, None)
            if chunk is None:
                break
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line
        if rest:
            yield rest
    finally:
        source.close()
        reader.shutdown(wait=False)
