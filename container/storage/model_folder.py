"""Keeps `model/` beside nanochat's own files: the finished models under names that never change.

Copied on the server, from a thread of its own, as soon as a stage is done: training never waits for
it, and what fails is told, tried again and, at the end of the run, once more. It ends no run.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from container.contract.keys import MODEL_README_KEY, model_key
from container.contract.records import Artifact
from container.storage import server_copy
from container.storage.bucket import BucketError, BucketUnavailableError, RunBucket
from container.storage.retry import retry_briefly
from container.storage.upload_queue import UploadQueue

AGAIN_S = 60.0


class ModelFolder:
    """The copies of one attempt. `readme` writes the page from what was copied, by name."""

    def __init__(
        self,
        bucket: RunBucket,
        *,
        upload_queue: UploadQueue,
        readme: Callable[[Mapping[str, Artifact]], str],
        say: Callable[[str], None],
        part_bytes: int = server_copy.COPY_PART_BYTES,
        again_s: float = AGAIN_S,
    ) -> None:
        self._bucket = bucket
        self._readme = readme
        self._upload_queue = upload_queue  # told of each copy: the manifest lists it
        self._say = say
        self._part_bytes = part_bytes
        self._again_s = again_s
        self._lock = threading.Lock()
        self._wanted: dict[str, Artifact] = {}  # by name in `model/`: what it is to be a copy of
        self._there: dict[str, Artifact] = {}  # what it is a copy of
        self._described: dict[str, Artifact] = {}  # of which README.md tells
        self._failures: dict[str, str] = {}  # by name: the last one, which was said
        self._awake, self._ending = threading.Event(), threading.Event()
        self._give_up: Callable[[], bool] = lambda: False
        self._thread: threading.Thread | None = None

    def want(self, artifacts: Sequence[Artifact]) -> None:
        """Take note of what a finished stage left in the bucket; returns at once."""
        copies = {name: one for one in artifacts if (name := model_key(one.key))}
        if not copies:
            return
        with self._lock:
            self._wanted |= copies
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="model", daemon=True)
                self._thread.start()
        self._awake.set()

    def finish(self, *, give_up: Callable[[], bool]) -> list[str]:
        """Try what is missing once more, and end; return what is missing then, `give_up` or not."""
        self._give_up = give_up
        self._ending.set()
        self._awake.set()
        while self._thread is not None and self._thread.is_alive() and not give_up():
            self._thread.join(0.1)
        return self._missing()

    def stop(self) -> None:
        """End without another try; returns at once."""
        self.finish(give_up=lambda: True)

    def _work(self) -> None:
        while True:
            last = self._ending.is_set()
            self._try_all()
            if last or self._give_up():
                return
            self._awake.wait(self._again_s if self._missing() else None)
            self._awake.clear()

    def _missing(self) -> list[str]:
        with self._lock:
            missing = [n for n, one in self._wanted.items() if self._there.get(n) != one]
            if self._there != self._described or (missing and not self._there):
                missing.append(MODEL_README_KEY)
        return sorted(missing)

    def _try_all(self) -> None:
        for name in self._missing():
            if name != MODEL_README_KEY:
                self._try(name, partial(self._copy, name))
        if self._there != self._described:
            self._try(MODEL_README_KEY, self._describe)

    def _try(self, name: str, call: Callable[[], None]) -> None:
        try:
            if self._give_up():
                return
            if not self._upload_queue.may_write():
                raise BucketUnavailableError("the lease was not renewed in time")
            call()
        except Exception as error:  # noqa: BLE001  # nice to have: whatever it is, the run goes on
            why = str(error) if isinstance(error, BucketError) else type(error).__name__
            if self._failures.get(name) != why:
                self._say(f"{name} is not there yet: {why}; training goes on, trying again")
            self._failures[name] = why
        else:
            self._failures.pop(name, None)

    def _copy(self, name: str) -> None:
        with self._lock:
            source = self._wanted[name]
        copied = server_copy.copy(
            self._bucket,
            source,
            name,
            part_bytes=self._part_bytes,
            give_up=self._gives_up,
        )
        self._upload_queue.know([copied])
        with self._lock:
            self._there[name] = source
        self._say(f"{name} is {source.key}")

    def _gives_up(self) -> bool:
        return self._give_up()  # the one of `finish`, once that was called

    def _describe(self) -> None:
        with self._lock:
            told = dict(self._there)
        text = self._readme(told).encode()
        digest = hashlib.sha256(text).hexdigest()
        readme = Artifact(key=MODEL_README_KEY, size_bytes=len(text), sha256=digest)
        found = retry_briefly(lambda: self._bucket.head(MODEL_README_KEY))
        if found is None or found[1].get("sha256") != digest:
            metadata = {"sha256": digest}
            retry_briefly(lambda: self._bucket.put(MODEL_README_KEY, text, metadata=metadata))
        self._upload_queue.know([readme])
        with self._lock:
            self._described = told
