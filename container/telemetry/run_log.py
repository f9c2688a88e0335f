"""Everything that is said: to the container's log at once, to the bucket in segments while it runs.

Segments are cut on disk first, so that an unreachable bucket or a restart of the container loses
nothing. A full disk costs the segment, never the run.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TextIO

from container.contract.clock import Clock
from container.contract.keys import LogSegment, MetricSegment
from container.contract.records import Metric
from container.contract.redacted import MARK, without_secrets
from container.storage.upload_queue import LOGS, Batch, UploadQueue
from container.telemetry.run_status import LiveStatus

SEGMENT_BYTES = 4 * 2**20

Segment = LogSegment | MetricSegment


class RunLog:
    """Writes log lines and metrics of one attempt."""

    def __init__(
        self,
        *,
        folder: Path,
        live_status: LiveStatus,
        clock: Clock,
        secrets: Sequence[str] = (),
        out: TextIO | None = None,
    ) -> None:
        self._folder = folder
        self._live_status = live_status
        self._clock = clock
        self._out = out or sys.stdout
        # As a line may hold them: a key that was pasted with its newline is given out without it.
        self._secrets = [text.strip() for text in secrets if len(text.strip()) >= 8]
        self._lock = threading.RLock()
        self._attempt = 0
        self._upload_queue: UploadQueue | None = None
        self._open: dict[Segment, IO[bytes]] = {}  # by the first segment of its kind and stage
        self._sequence: dict[Segment, int] = {}
        # A container that only serves never begins to upload.
        self._early: deque[tuple[str, str]] = deque(maxlen=5000)
        self._full_disk = False

    def begin(self, *, attempt: int, upload_queue: UploadQueue) -> None:
        """Start uploading: what an earlier start of this container left on disk goes first."""
        with self._lock:
            self._attempt = attempt
            self._upload_queue = upload_queue
            for path in sorted(self._folder.glob("*/*")):
                if path.is_file():
                    self._queue_upload(path, self._key_of(path))
            for stage, text in self._early:
                self._write_log(stage, text)
            self._early.clear()

    def event(self, text: str, *, stage: str = "") -> None:
        """Log one event of the supervisor: stage, elapsed time and dollars in front."""
        stage = stage or self._live_status.stage or "start"
        seconds = int(self._live_status.elapsed_s())
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        self.line(
            stage, f"trainstack | {stage} | {clock} | ${self._live_status.dollars():.2f} | {text}"
        )

    def line(self, stage: str, text: str, *, on_page: bool = True) -> None:
        """Log one line of a stage's output as it is."""
        text = self.mask(text)
        with self._lock:
            # Nobody may read the container's log any more: the bucket's is the one that counts.
            with suppress(OSError, ValueError):
                self._out.write(text + "\n")
                self._out.flush()
            if on_page:
                self._live_status.log_lines.append(text)
            if self._upload_queue is None:
                self._early.append((stage, text))
            else:
                self._write_log(stage, text)

    def mask(self, text: str) -> str:
        """Return the text without the secrets of this container, and those of any address in it."""
        for secret in self._secrets:
            text = text.replace(secret, MARK)
        return without_secrets(text)

    def metric(self, metric: Metric) -> None:
        """Add one line to the loss curve in the bucket."""
        line = json.dumps({k: v for k, v in asdict(metric).items() if v is not None})
        with self._lock:
            if self._upload_queue is not None:
                self._append(MetricSegment(attempt=self._attempt), line)

    def cut(self) -> None:
        """Queue what is written since the last cut."""
        with self._lock:
            for first in list(self._open):
                self._cut_one(first)

    def _write_log(self, stage: str, text: str) -> None:
        self._append(LogSegment(attempt=self._attempt, stage=stage), text)

    def _append(self, first: Segment, text: str) -> None:
        try:
            file = self._open.get(first)
            if file is None:
                path = self._path(first)
                path.parent.mkdir(parents=True, exist_ok=True)
                # Unbuffered: what was said survives the machine's last moment on its disk.
                file = self._open[first] = path.open("ab", buffering=0)
            file.write(text.encode("utf-8", "replace") + b"\n")
            if file.tell() >= SEGMENT_BYTES:
                self._cut_one(first)
            self._full_disk = False
        except OSError as error:
            if not self._full_disk:
                self._full_disk = True
                with suppress(OSError, ValueError):
                    self._out.write(f"trainstack | cannot keep the log on disk: {error.strerror}\n")

    def _cut_one(self, first: Segment) -> None:
        file = self._open.pop(first)
        path = self._path(first)
        try:
            file.close()
        except OSError:
            return
        self._sequence[first] = self._sequence.get(first, 0) + 1
        self._queue_upload(path, self._key_of(path))

    def _path(self, first: Segment) -> Path:
        return self._folder / replace(first, sequence=self._sequence.get(first, 0)).key

    def _key_of(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _queue_upload(self, path: Path, key: str) -> None:
        assert self._upload_queue is not None  # noqa: S101  # only called once uploads began
        self._upload_queue.add(
            Batch(name=key, files=[(path, key)], priority=LOGS, remove_files=True)
        )
