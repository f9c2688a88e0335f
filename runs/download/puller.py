"""Copies a run's artefacts into a folder: parallel, resumable, each file verified by its sha256.

A file has its own name only once its hash was right; until then it is `<name>.part`. Which ranges
of a part are there stands in a journal, so an interrupted copy goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import tenacity

from runs.download.plan import JOURNAL, RANGE_BYTES, Item, Pulled, ranges
from runs.download.resume_log import ResumeLog
from runs.errors import RunsError, UnreachableError
from runs.source.bucket import AbsentError, ReadOnlyBucket, TooShortError
from runs.terminal import formats

STREAMS = 8  # with CHUNK_BYTES this bounds memory: 8 MiB, whatever the file sizes
CHUNK_BYTES = 1024 * 1024
_TRIES = 5


@dataclass(kw_only=True)
class _Work:
    """One item while its ranges are fetched."""

    item: Item
    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)


class Puller:
    """Copies items of one prefix into one folder."""

    def __init__(
        self,
        bucket: ReadOnlyBucket,
        *,
        prefix: str,
        folder: Path,
        progress: Callable[[int], None],
        range_bytes: int = RANGE_BYTES,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.folder = folder
        self.progress = progress
        self.range_bytes = range_bytes
        self._ended = threading.Event()

    def pull(self, items: Sequence[Item]) -> list[Pulled]:
        """Copy what is not here yet; return one result an item, in their order.

        Raises RunsError when there is too little room, or the bucket fails for good; what was
        copied by then stays, and the same call again goes on from there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with ResumeLog(self.folder / JOURNAL) as journal:
            self._check_room(items, journal)
            with ThreadPoolExecutor(STREAMS) as pool:
                try:
                    return self._pull(items, journal, pool)
                finally:
                    self._ended.set()
                    pool.shutdown(cancel_futures=True)

    def _pull(
        self, items: Sequence[Item], journal: ResumeLog, pool: ThreadPoolExecutor
    ) -> list[Pulled]:
        results: dict[str, Pulled] = {}
        wrong = list(items)
        for _ in range(2):  # a wrong hash may come from a damaged part: once more, from nothing
            for pulled in self._copy(wrong, journal, pool):
                results[pulled.item.key] = pulled
            wrong = [p.item for p in results.values() if p.result == "damaged"]
            if not wrong:
                break
        return [results[item.key] for item in items]

    def _copy(
        self, items: Sequence[Item], journal: ResumeLog, pool: ThreadPoolExecutor
    ) -> list[Pulled]:
        here = {item.key for item in items if self._is_here(item, journal)}
        finished: dict[str, Pulled] = {
            item.key: Pulled(item=item, result="already here") for item in items if item.key in here
        }
        futures: list[Future[Pulled | None]] = []
        for item in items:
            if item.key in here:
                self.progress(item.size_bytes)
                continue
            todo = self._todo(item, journal)
            work = _Work(item=item, left=max(1, len(todo)))
            for offset, length in todo or [(0, 0)]:
                futures.append(pool.submit(self._fetch, work, offset, length, journal))
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            if future.done() and (failure := future.exception()) is not None:
                raise failure
        for future in futures:
            if (pulled := future.result()) is not None:
                finished.setdefault(pulled.item.key, pulled)
        return list(finished.values())

    def _todo(self, item: Item, journal: ResumeLog) -> list[tuple[int, int]]:
        """Return the ranges that are missing, with the part file made at its full size."""
        part = _part(item)
        part.parent.mkdir(parents=True, exist_ok=True)
        wanted = ranges(item.size_bytes, range_bytes=self.range_bytes)
        there = journal.ranges(item.key, item.version) if part.exists() else set[tuple[int, int]]()
        with part.open("ab") as file:
            file.truncate(item.size_bytes)
        todo = [r for r in wanted if r not in there]
        self.progress(item.size_bytes - sum(length for _, length in todo))
        return todo

    def _fetch(self, work: _Work, offset: int, length: int, journal: ResumeLog) -> Pulled | None:
        item = work.item
        try:
            if length:
                self._fetch_range(item, offset, length)
                journal.add_range(item.key, item.version, offset, length)
        except AbsentError:
            return Pulled(item=item, result="missing", detail="the bucket does not have it")
        except _OtherSizeError as error:
            return Pulled(item=item, result="damaged", detail=str(error))
        except TooShortError:
            detail = f"fewer bytes in the bucket than the {item.size_bytes} expected"
            return Pulled(item=item, result="damaged", detail=detail)
        with work.lock:
            work.left -= 1
            if work.left:
                return None
        return self._finish(item, journal)

    def _fetch_range(self, item: Item, offset: int, length: int) -> None:
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(UnreachableError),
            stop=tenacity.stop_after_attempt(_TRIES) | tenacity.stop_when_event_set(self._ended),
            wait=tenacity.wait_exponential_jitter(multiplier=0.5, max=20),
            sleep=tenacity.sleep_using_event(self._ended),
            reraise=True,
        ):
            with attempt:
                self._stream(item, offset, length)

    def _stream(self, item: Item, offset: int, length: int) -> None:
        key = f"{self.prefix}/{item.key}"
        last = offset + length - 1
        done = 0
        try:
            with self.bucket.explained(f"read {key}"), _part(item).open("r+b") as file:
                answer = self.bucket.client.get_object(
                    Bucket=self.bucket.name, Key=key, Range=f"bytes={offset}-{last}"
                )
                _check_size(item, answer.get("ContentRange", ""))
                file.seek(offset)
                for chunk in answer["Body"].iter_chunks(CHUNK_BYTES):
                    file.write(chunk)
                    done += len(chunk)
                    self.progress(len(chunk))
                    if self._ended.is_set():
                        answer["Body"].close()
                        break
        finally:
            if done != length:
                self.progress(-done)
        if done != length:
            raise UnreachableError(
                f"{key}: {done} of {length} bytes came.\nCopy again: it goes on where it was."
            )

    def _finish(self, item: Item, journal: ResumeLog) -> Pulled:
        part = _part(item)
        if item.sha256 and (digest := sha256_of(part)) != item.sha256:
            part.unlink()
            journal.forget(item.key, item.version)
            self.progress(-item.size_bytes)
            return Pulled(
                item=item,
                result="damaged",
                detail=f"sha256 is {digest[:12]}…, the manifest says {item.sha256[:12]}…",
            )
        part.replace(item.path)
        journal.add_file(item.key, item.version, item.path)
        return Pulled(item=item, result="copied")

    def _is_here(self, item: Item, journal: ResumeLog) -> bool:
        if not item.path.is_file() or item.path.stat().st_size != item.size_bytes:
            return False
        if not item.sha256 or journal.verified(item.key, item.version, item.path):
            return True
        if sha256_of(item.path) != item.sha256:
            return False
        journal.add_file(item.key, item.version, item.path)
        return True

    def _check_room(self, items: Sequence[Item], journal: ResumeLog) -> None:
        there = sum(
            length for item in items for _, length in journal.ranges(item.key, item.version)
        )
        here = sum(item.path.stat().st_size for item in items if item.path.is_file())
        needed = sum(item.size_bytes for item in items) - there - here
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise RunsError(
                f"{self.folder} has {formats.size(free)} free, the artefacts need "
                f"{formats.size(needed)} more.\nName another folder with --to, or take a part "
                "with --only 'checkpoints/sft/*'."
            )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _part(item: Item) -> Path:
    return item.path.with_name(item.path.name + ".part")


class _OtherSizeError(Exception):
    """The object has another size than its manifest says."""


def _check_size(item: Item, content_range: str) -> None:
    """Compare with the total of `bytes 0-99/200`."""
    total = content_range.rpartition("/")[2]
    if total.isdigit() and int(total) != item.size_bytes:
        raise _OtherSizeError(f"{total} bytes in the bucket, {item.size_bytes} expected")
