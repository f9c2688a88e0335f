"""Sends one file: sha256 while reading, equal parts in parallel, parts already there not again.

R2 wants all parts but the last of one size, at most 10,000 of them, each at least 5 MiB. A part is
hashed and then sent from the file itself, which the page cache still holds: what is under way takes
no memory, whatever its size.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, cast

from container.contract.records import Artifact
from container.storage.bucket import (
    AbsentError,
    BucketUnavailableError,
    ObjectChangedError,
    RunBucket,
    translated,
)
from container.storage.part_limiter import Order, PartLimiter
from container.storage.retry import retry_briefly

PART_BYTES = 16 * 2**20
SMALL_BYTES = 4 * 2**20  # up to here one request, from memory
BLOCK_BYTES = 256 * 1024
MOST_PARTS = 9_000
SLOW_REFUSAL_S = 5.0  # a part that fails after longer was cut, not refused


class FileChangedError(Exception):
    """The file changed or vanished while it was read: it was not complete."""


@dataclass(frozen=True)
class _Part:
    number: int
    etag: str


class FileSender:
    """Sends files; safe to call from several threads."""

    def __init__(
        self, bucket: RunBucket, *, pool: Executor, most_parts: int, part_bytes: int
    ) -> None:
        self._bucket = bucket
        self._pool = pool
        self._limiter = PartLimiter(most=most_parts, part_bytes=part_bytes)
        self._part_bytes = part_bytes

    def send(
        self, path: Path, key: str, *, known: Artifact | None = None, order: Order = (0, 0)
    ) -> Artifact:
        """Upload a file and return its artefact, verified by the MD5 of each part and of the whole.

        Does nothing when `known` says that this very content is there. Parts of the smallest
        `order` go first. Raises BucketError (call again: parts that arrived are kept) or
        FileChangedError.
        """
        try:
            before = path.stat()
            with path.open("rb", buffering=0) as file:
                if known is not None and known.size_bytes == before.st_size:
                    if hashlib.file_digest(file, "sha256").hexdigest() == known.sha256:
                        return known
                    file.seek(0)
                if before.st_size <= min(SMALL_BYTES, self._part_bytes):
                    digest = self._small(file, key, before.st_size)
                else:
                    digest = self._large(file, key, before.st_size, order)
            after = path.stat()
        except FileNotFoundError:
            raise FileChangedError(f"{path.name} vanished") from None
        except OSError as error:
            raise FileChangedError(f"{path.name} cannot be read: {error.strerror}") from None
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise FileChangedError(f"{path.name} was written to while it was read")
        return Artifact(key=key, size_bytes=before.st_size, sha256=digest)

    def _small(self, file: FileIO, key: str, size: int) -> str:
        body = file.read()
        if len(body) != size:
            raise FileChangedError(f"{key} changed while it was read")
        digest = hashlib.sha256(body).hexdigest()
        etag = self._bucket.put(key, body, metadata={"sha256": digest})
        if not _same(etag, _md5(body), key):
            self._look_at_size(key, size)
        return digest

    def _large(self, file: FileIO, key: str, size: int, order: Order) -> str:
        part_bytes = max(self._part_bytes, -(-size // MOST_PARTS))
        part_bytes = -(-part_bytes // 2**20) * 2**20
        upload_id, there = self._find_or_begin(key, part_bytes, size)
        digest = hashlib.sha256()
        futures: list[Future[_Part]] = []
        try:
            for number in range(1, -(-size // part_bytes) + 1):
                start = (number - 1) * part_bytes
                slice_ = _Slice(file.fileno(), start, min(part_bytes, size - start))
                self._limiter.acquire(order)
                try:
                    for block in slice_.blocks():
                        digest.update(block)
                    call = self._part(key, upload_id, number, slice_, there.get(number, ""))
                    future = self._pool.submit(call)
                except BaseException:
                    self._limiter.release()
                    raise
                futures.append(future)
                if any(one.done() and one.exception() for one in futures[-64:]):
                    break
        finally:
            parts = _outcomes(futures)
        self._complete(key, upload_id, parts, size)
        return digest.hexdigest()

    def _find_or_begin(self, key: str, part_bytes: int, size: int) -> tuple[str, dict[int, str]]:
        """Return an upload to go on with, and the ETags of its parts of the right size."""
        found = retry_briefly(lambda: self._find(key, part_bytes, size))
        return found or (retry_briefly(lambda: self._begin(key)), {})

    def _find(self, key: str, part_bytes: int, size: int) -> tuple[str, dict[int, str]] | None:
        bucket = self._bucket
        full = bucket.full(key)
        with translated("list uploads of", key):
            answer = bucket.client.list_multipart_uploads(Bucket=bucket.name, Prefix=full)
            uploads = [one for one in answer.get("Uploads", []) if one.get("Key") == full]
            for upload in uploads[:1]:
                upload_id = upload.get("UploadId", "")
                there: dict[int, str] = {}
                pages = bucket.client.get_paginator("list_parts")
                for page in pages.paginate(Bucket=bucket.name, Key=full, UploadId=upload_id):
                    for part in page.get("Parts", []):
                        number = part.get("PartNumber", 0)
                        wanted = min(part_bytes, size - (number - 1) * part_bytes)
                        if part.get("Size") == wanted:
                            there[number] = part.get("ETag", "")
                return upload_id, there
        return None

    def _begin(self, key: str) -> str:
        bucket = self._bucket
        with translated("begin the upload of", key):
            begun = bucket.client.create_multipart_upload(Bucket=bucket.name, Key=bucket.full(key))
            return begun["UploadId"]

    def _part(
        self, key: str, upload_id: str, number: int, slice_: _Slice, there: str
    ) -> Callable[[], _Part]:
        begun: list[float] = []

        def send_once() -> str:
            slice_.seek(0)
            begun.append(time.monotonic())
            try:
                with translated(f"write part {number} of", key):
                    answer = self._bucket.client.upload_part(
                        Bucket=self._bucket.name,
                        Key=self._bucket.full(key),
                        UploadId=upload_id,
                        PartNumber=number,
                        Body=cast("IO[bytes]", slice_),
                    )
                    etag = answer["ETag"]
            except BucketUnavailableError:
                self._limiter.failed()
                raise
            self._limiter.arrived(len(slice_), took_s=time.monotonic() - begun[-1])
            return etag

        def was_cut() -> bool:
            """Whether the line was too slow; fewer at once are better then."""
            return time.monotonic() - begun[-1] > SLOW_REFUSAL_S

        def send() -> _Part:
            try:
                if there and there.strip('"') == slice_.md5():
                    return _Part(number, there)
                etag = retry_briefly(send_once, give_up=was_cut)
                _same(etag, slice_.md5_of_read(), f"part {number} of {key}")
                return _Part(number, etag)
            finally:
                self._limiter.release()

        return send

    def _complete(self, key: str, upload_id: str, parts: list[_Part], size: int) -> None:
        def complete() -> str:
            with translated("complete", key):
                answer = self._bucket.client.complete_multipart_upload(
                    Bucket=self._bucket.name,
                    Key=self._bucket.full(key),
                    UploadId=upload_id,
                    MultipartUpload={
                        "Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
                    },
                )
            return answer.get("ETag", "")

        try:
            etag = retry_briefly(complete)
        except AbsentError:
            # No such upload: completed before, by a call whose answer was lost?
            etag = self._bucket.etag(key)
            if etag.strip('"') != _etag_of(parts):
                raise
        if etag.strip('"') != _etag_of(parts):
            self._look_at_size(key, size)

    def _look_at_size(self, key: str, size: int) -> None:
        """Ask for the size of an object whose ETag says nothing of its content."""
        found = self._bucket.head(key)
        if found is None or found[0] != size:
            raise BucketUnavailableError(f"{key}: the bucket does not hold what was sent")


class _Slice:
    """A part of a file as the request's body: read block by block, and hashed on the way out."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._at = 0
        self._md5 = hashlib.md5(usedforsecurity=False)

    def __len__(self) -> int:
        return self._size

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere; to the beginning when the client library sends the body once more."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = origin + offset
        if self._at == 0:
            self._md5 = hashlib.md5(usedforsecurity=False)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return a block: larger than the client library asks for, which counts its bytes."""
        left = self._size - self._at
        block = self._block(self._at, left if size < 0 else min(max(size, BLOCK_BYTES), left))
        self._at += len(block)
        self._md5.update(block)
        return block

    def blocks(self) -> Iterator[bytes]:
        """Yield the whole content, wherever `read` is."""
        at = 0
        while at < self._size:
            block = self._block(at, min(BLOCK_BYTES, self._size - at))
            at += len(block)
            yield block

    def md5(self) -> str:
        """Return the MD5 of the content."""
        digest = hashlib.md5(usedforsecurity=False)
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()

    def md5_of_read(self) -> str:
        """Return the MD5 of what was read since the beginning: of what was sent."""
        return self._md5.hexdigest()

    def _block(self, at: int, size: int) -> bytes:
        block = os.pread(self._descriptor, size, self._start + at)
        if size and not block:
            raise FileChangedError("the file became shorter while it was read")
        return block


def _outcomes(futures: list[Future[_Part]]) -> list[_Part]:
    """Wait for all, then return the parts or raise the first error."""
    errors = [error for error in (future.exception() for future in futures) if error]
    if errors:
        raise errors[0]
    return [future.result() for future in futures]


def _same(etag: str, md5: str, what: str) -> bool:
    """Compare what the bucket received; False when it cannot be told from the ETag."""
    # Both R2 and SeaweedFS answer the MD5 as ETag of a plain object and of a part; a server that
    # answers something else (encryption) cannot be checked this way.
    received = etag.strip('"')
    if len(received) != 32:
        return False
    if received != md5:
        raise ObjectChangedError(f"{what}: the bucket received other bytes than were sent")
    return True


def _etag_of(parts: list[_Part]) -> str:
    """Return the ETag of the whole: the MD5 of the parts' MD5s, and their number."""
    try:
        joined = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
