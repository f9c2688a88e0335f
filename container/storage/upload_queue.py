"""Carries files to the bucket: one queue by value, retried until it works, in little memory.

A `Batch` is files that belong together; `finish` (a marker, a record) runs after the last of them
is in the bucket, and after the batches that it comes `after`. Nothing here blocks training: while
the bucket is away, batches wait on disk.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from container.contract.clock import Clock
from container.contract.records import Artifact
from container.storage.bucket import BucketError, RunBucket
from container.storage.multipart import PART_BYTES, FileChangedError, FileSender
from container.storage.part_limiter import Order
from container.storage.retry import EndedError, doubling, jittered, retry_until

T = TypeVar("T")

# Order of value: what a lost machine would cost most goes first. Of equal value is what was queued
# first: a checkpoint, model and optimizer, is whole before the next one begins.
RECORDS, CHECKPOINT, REPORT, LOGS = range(4)

FILES_AT_ONCE = 8  # small ones wait for the bucket's answer most of the time
PARTS_AT_ONCE = 10  # of all files together, at most; they are read from disk as they are sent


@dataclass(eq=False, kw_only=True)
class Batch:
    """Files (local path, key) that count together."""

    name: str
    files: Sequence[tuple[Path, str]] = ()
    priority: int = LOGS
    finish: Callable[[list[Artifact]], None] | None = None  # may raise BucketError: retried
    after: Sequence[Batch] = ()
    remove_files: bool = False  # when they are in the bucket
    artifacts: list[Artifact] = field(default_factory=list[Artifact])
    done: threading.Event = field(default_factory=threading.Event)
    dropped: str = ""  # why the batch was given up: its files changed or vanished
    begun: bool = False  # the first file is on its way, or was
    waiting_for: int = 0  # files and batches; the queue's own count


class UploadQueue:
    """Uploads batches from threads of its own; `add` never blocks."""

    def __init__(
        self,
        bucket: RunBucket,
        *,
        clock: Clock,
        say: Callable[[str], None],
        may_write: Callable[[], bool] = lambda: True,
        part_bytes: int = PART_BYTES,
        shortest_pause_s: float = 1.0,
    ) -> None:
        self._clock = clock
        self._say = say
        self.may_write = may_write
        self._pause_s = shortest_pause_s
        self._condition = threading.Condition()
        self._queue: list[tuple[int, int, Batch, Path | None, str, int]] = []
        self._order = itertools.count()
        self._open: set[Batch] = set()
        self._followers: dict[Batch, list[Batch]] = {}
        self._pending_bytes = 0
        self._uploaded_bytes = 0
        self._stopping = threading.Event()
        self._failing_since: float | None = None
        self._parts = ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="part")
        self._sender = FileSender(
            bucket, pool=self._parts, most_parts=PARTS_AT_ONCE, part_bytes=part_bytes
        )
        self.artifacts: dict[str, Artifact] = {}  # by key; all that is known to be in the bucket
        self._threads = [
            threading.Thread(target=self._work, name=f"upload-{n}", daemon=True)
            for n in range(FILES_AT_ONCE)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop after the calls under way; what is queued stays undone."""
        self._stopping.set()
        with self._condition:
            self._condition.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(timeout=10)
        self._parts.shutdown(wait=False, cancel_futures=True)

    def know(self, artifacts: Sequence[Artifact]) -> None:
        """Take note of what earlier attempts left in the bucket."""
        with self._condition:
            self.artifacts.update({artifact.key: artifact for artifact in artifacts})

    def add(self, batch: Batch) -> None:
        """Queue a batch; returns at once."""
        sizes = [_size(path) for path, _ in batch.files]
        with self._condition:
            self._open.add(batch)
            blockers = [other for other in batch.after if other in self._open]
            batch.waiting_for = len(batch.files) + len(blockers)
            for blocker in blockers:
                self._followers.setdefault(blocker, []).append(batch)
            for (path, key), size in zip(batch.files, sizes, strict=True):
                self._pending_bytes += size
                self._push(batch, path, key, size)
            if not batch.waiting_for:
                self._push(batch, None)
            self._condition.notify_all()

    def counters(self) -> tuple[int, int]:
        """Return bytes uploaded by this attempt, and bytes that wait."""
        with self._condition:
            return self._uploaded_bytes, max(self._pending_bytes, 0)

    def wait_empty(self, timeout_s: float | None = None) -> bool:
        """Wait until nothing is queued or under way; return whether that came in time."""
        with self._condition:
            return self._condition.wait_for(
                lambda: not self._open or self._stopping.is_set(), timeout_s
            ) and (not self._open)

    def failing_for_s(self) -> float:
        """Return for how long no call has succeeded, 0 when the last one did."""
        with self._condition:
            since = self._failing_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def _push(self, batch: Batch, path: Path | None, key: str = "", size: int = 0) -> None:
        heapq.heappush(self._queue, (batch.priority, next(self._order), batch, path, key, size))

    def _work(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._queue or self._stopping.is_set())
                if self._stopping.is_set():
                    return
                priority, number, batch, path, key, size = heapq.heappop(self._queue)
                batch.begun = True
            try:
                if path is None:
                    self._finish(batch)
                else:
                    self._file(batch, path, key, size, (priority, number))
            except Exception as error:  # noqa: BLE001  # or the end of the run waits for ever
                self._abandon(batch, path, size, error)

    def _file(self, batch: Batch, path: Path, key: str, size: int, order: Order) -> None:
        artifact: Artifact | None = None
        try:
            artifact = self._persist(lambda: self._send(path, key, order), what=key)
        except FileChangedError as error:
            batch.dropped = str(error)
            self._say(f"upload of {batch.name} given up: {error}")
        if artifact is None and not batch.dropped:
            return  # stopping
        with self._condition:
            self._pending_bytes -= size
            if artifact is not None:
                self._uploaded_bytes += artifact.size_bytes
                batch.artifacts.append(artifact)
                self.artifacts[key] = artifact
            self._one_less(batch)

    def _send(self, path: Path, key: str, order: Order) -> Artifact:
        return self._sender.send(path, key, known=self.artifacts.get(key), order=order)

    def _one_less(self, batch: Batch) -> None:
        batch.waiting_for -= 1
        if not batch.waiting_for:
            self._push(batch, None)
            self._condition.notify_all()

    def _finish(self, batch: Batch) -> None:
        if not batch.dropped and any(other.dropped for other in batch.after):
            batch.dropped = next(other.dropped for other in batch.after if other.dropped)
            self._say(f"{batch.name} is left out: {batch.dropped}")
        finish = batch.finish
        if finish is not None and not batch.dropped:
            artifacts = sorted(batch.artifacts, key=lambda artifact: artifact.key)
            if self._persist(lambda: finish(artifacts) or True, what=batch.name) is None:
                return  # stopping
        if batch.remove_files and not batch.dropped:
            for path, _ in batch.files:
                with suppress(OSError):  # a disk that went read-only
                    path.unlink(missing_ok=True)
        self._close(batch)

    def _close(self, batch: Batch) -> None:
        with self._condition:
            self._open.discard(batch)
            batch.done.set()
            for follower in self._followers.pop(batch, []):
                self._one_less(follower)
            self._condition.notify_all()

    def _abandon(self, batch: Batch, path: Path | None, size: int, error: Exception) -> None:
        """Give up what failed as nobody foresaw; the run goes on without it, and says so."""
        batch.dropped = f"{type(error).__name__} in the uploader"
        self._say(f"upload of {batch.name} given up: {batch.dropped}")
        if path is None:
            self._close(batch)
            return
        with self._condition:
            self._pending_bytes -= size
            self._one_less(batch)

    def _persist(self, call: Callable[[], T], *, what: str) -> T | None:
        """Call until it succeeds; None when stopping."""

        def when_allowed() -> T:
            while not self.may_write():
                if self._stopping.wait(min(1.0, self._pause_s)):
                    raise EndedError
            return call()

        try:
            answer = retry_until(
                when_allowed,
                ended=self._stopping.is_set,
                wait=self._stopping.wait,
                pauses=jittered(doubling(self._pause_s)),
                say=lambda error: self._failed(error, what=what),
            )
        except EndedError:
            return None
        self._recovered()
        return answer

    def _failed(self, error: BucketError, *, what: str) -> None:
        with self._condition:
            first = self._failing_since is None
            if first:
                self._failing_since = self._clock.monotonic()
        if first:
            self._say(f"upload waits: {error}; training goes on, retrying {what}")

    def _recovered(self) -> None:
        with self._condition:
            since, self._failing_since = self._failing_since, None
        if since is not None:
            self._say(f"upload works again after {self._clock.monotonic() - since:.0f} s")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
