"""Copies one object within the bucket, on the server: nothing is downloaded, no line is used.

A single request copies at most 5 GB; what is larger goes in parts. R2 wants all parts but the last
of one size, as for uploads: https://developers.cloudflare.com/r2/objects/multipart-objects/.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from container.contract.records import Artifact
from container.storage.bucket import (
    BucketError,
    BucketUnavailableError,
    RunBucket,
    content_type,
    translated,
)
from container.storage.retry import retry_briefly

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

COPY_PART_BYTES = 256 * 2**20  # of which the server answers each within a call's time limit
PARTS_AT_ONCE = 4


def copy(
    bucket: RunBucket,
    source: Artifact,
    key: str,
    *,
    part_bytes: int = COPY_PART_BYTES,
    give_up: Callable[[], bool] = lambda: False,
) -> Artifact:
    """Copy an object to a key and return that one's artefact; what is there and the same stays.

    The hash is the source's, and is kept as metadata: by it a later call knows the content. Raises
    BucketError; the key then holds what it held before.
    """
    wanted = Artifact(key=key, size_bytes=source.size_bytes, sha256=source.sha256)
    if _is_there(bucket, wanted):
        return wanted
    if source.size_bytes <= part_bytes:
        retry_briefly(lambda: _whole(bucket, source, wanted), give_up=give_up)
    else:
        _in_parts(bucket, source, wanted, part_bytes=part_bytes, give_up=give_up)
    if not _is_there(bucket, wanted):
        raise BucketUnavailableError(f"{key}: the bucket does not hold what was to be copied")
    return wanted


def _is_there(bucket: RunBucket, wanted: Artifact) -> bool:
    found = retry_briefly(lambda: bucket.head(wanted.key))
    return found is not None and (found[0], found[1].get("sha256")) == (
        wanted.size_bytes,
        wanted.sha256,
    )


def _whole(bucket: RunBucket, source: Artifact, wanted: Artifact) -> None:
    with translated("copy", source.key):
        bucket.client.copy_object(
            Bucket=bucket.name,
            Key=bucket.full(wanted.key),
            CopySource={"Bucket": bucket.name, "Key": bucket.full(source.key)},
            MetadataDirective="REPLACE",
            ContentType=content_type(wanted.key),
            Metadata={"sha256": wanted.sha256},
        )


def _in_parts(
    bucket: RunBucket,
    source: Artifact,
    wanted: Artifact,
    *,
    part_bytes: int,
    give_up: Callable[[], bool],
) -> None:
    copying = _CopyInParts(bucket, source, wanted, part_bytes=part_bytes, give_up=give_up)
    copying.begin()
    try:
        with ThreadPoolExecutor(PARTS_AT_ONCE, thread_name_prefix="copy") as pool:
            parts = list(pool.map(copying.part, range(1, -(-source.size_bytes // part_bytes) + 1)))
        copying.complete(parts)
    except BucketError:
        copying.abort()
        # An answer that was lost may have completed it.
        if not _is_there(bucket, wanted):
            raise


class _CopyInParts:
    """One multipart copy; its calls are each made again for a while."""

    def __init__(
        self,
        bucket: RunBucket,
        source: Artifact,
        wanted: Artifact,
        *,
        part_bytes: int,
        give_up: Callable[[], bool],
    ) -> None:
        self._bucket = bucket
        self._source = source
        self._wanted = wanted
        self._full = bucket.full(wanted.key)
        self._part_bytes = part_bytes
        self._upload_id = ""
        self._failed = threading.Event()  # the other parts need not be copied any more
        self._give_up = lambda: self._failed.is_set() or give_up()

    def begin(self) -> None:
        def call() -> str:
            with translated("begin the copy of", self._source.key):
                return self._bucket.client.create_multipart_upload(
                    Bucket=self._bucket.name,
                    Key=self._full,
                    ContentType=content_type(self._wanted.key),
                    Metadata={"sha256": self._wanted.sha256},
                )["UploadId"]

        self._upload_id = retry_briefly(call, give_up=self._give_up)

    def part(self, number: int) -> CompletedPartTypeDef:
        first = (number - 1) * self._part_bytes
        last = min(first + self._part_bytes, self._source.size_bytes) - 1

        def call() -> str:
            if self._give_up():
                raise BucketUnavailableError(f"the copy of {self._source.key} was given up")
            with translated(f"copy part {number} of", self._source.key):
                answer = self._bucket.client.upload_part_copy(
                    Bucket=self._bucket.name,
                    Key=self._full,
                    UploadId=self._upload_id,
                    PartNumber=number,
                    CopySource={
                        "Bucket": self._bucket.name,
                        "Key": self._bucket.full(self._source.key),
                    },
                    CopySourceRange=f"bytes={first}-{last}",
                )
                return answer["CopyPartResult"].get("ETag", "")

        try:
            return {"PartNumber": number, "ETag": retry_briefly(call, give_up=self._give_up)}
        except BucketError:
            self._failed.set()
            raise

    def complete(self, parts: list[CompletedPartTypeDef]) -> None:
        def call() -> None:
            with translated("complete the copy of", self._source.key):
                self._bucket.client.complete_multipart_upload(
                    Bucket=self._bucket.name,
                    Key=self._full,
                    UploadId=self._upload_id,
                    MultipartUpload={"Parts": parts},
                )

        retry_briefly(call, give_up=self._give_up)

    def abort(self) -> None:
        """Let the parts go, or they would be stored and billed unseen until the run ends."""
        with suppress(BucketError), translated("abort the copy of", self._source.key):
            self._bucket.client.abort_multipart_upload(
                Bucket=self._bucket.name, Key=self._full, UploadId=self._upload_id
            )
