"""The run's bucket over S3: one client, keys below one prefix, errors by what the caller decides.

No policy here: no retry beyond botocore's own few, no queue, no order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

SMALL_OBJECT_BYTES = 8 * 2**20


class BucketError(Exception):
    """An object could not be read or written; says which and why, without credentials."""


class BucketUnavailableError(BucketError):
    """The bucket did not answer, or said that it cannot now: the same call may succeed later."""


class BucketRefusedError(BucketError):
    """The bucket refuses these credentials or this bucket; a new token may need a minute."""


class AbsentError(BucketError):
    """The bucket says that the object is not there."""


class ObjectChangedError(BucketError):
    """A conditional write met an object that is not the expected one."""


def make_client(*, endpoint: str, access_key_id: str, secret_access_key: str) -> S3Client:
    """Return the S3 client for R2 and whatever else speaks S3.

    botocore's default checksums go out as a chunked trailer that R2 still answered with 401 in
    August 2026: hence "when_required". A path-style address works with every server.
    """
    # The stubs type the other services' clients as unknown; this overload is known.
    return boto3.client(  # pyright: ignore[reportUnknownMemberType]
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        region_name="auto",
        config=Config(
            signature_version="s3v4",
            # Bodies are checked by the MD5 that the bucket answers (TLS guards the way there);
            # a signature over them would read each byte once more.
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            # Also how long a write to the socket may block: on a slow line the kernel takes a
            # megabyte more only when one has left.
            connect_timeout=20,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=32,
            tcp_keepalive=True,
        ),
    )


class RunBucket:
    """Objects below one run prefix. Keys given and returned are relative to it."""

    def __init__(self, client: S3Client, *, name: str, prefix: str) -> None:
        self.client = client
        self.name = name
        self.prefix = prefix

    def full(self, key: str) -> str:
        """Return the key as the server knows it."""
        return f"{self.prefix}/{key}"

    def put(
        self,
        key: str,
        body: bytes,
        *,
        only_if_absent: bool = False,
        only_if_etag: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Write a small object, return its ETag; ObjectChangedError when a condition fails."""
        condition: dict[str, Any] = {}
        if only_if_absent:
            condition["IfNoneMatch"] = "*"
        if only_if_etag:
            condition["IfMatch"] = only_if_etag
        with translated("write", key):
            answer = self.client.put_object(
                Bucket=self.name,
                Key=self.full(key),
                Body=body,
                ContentType=content_type(key),
                Metadata=metadata or {},
                **condition,
            )
        return answer["ETag"]

    def get(self, key: str) -> bytes | None:
        """Return an object's content, None when the bucket says that it is not there."""
        found = self.get_with_etag(key)
        return found[0] if found else None

    def get_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Return content and ETag, None when the bucket says that it is not there."""
        try:
            with translated("read", key):
                answer = self.client.get_object(Bucket=self.name, Key=self.full(key))
                return answer["Body"].read(), answer["ETag"]
        except AbsentError:
            return None

    def stream(self, key: str, *, start: int = 0, chunk_bytes: int = 2**20) -> Iterator[bytes]:
        """Yield an object's content from a byte on; raises BucketError, also in the middle."""
        more: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
        with translated("read", key):
            answer = self.client.get_object(Bucket=self.name, Key=self.full(key), **more)
            yield from answer["Body"].iter_chunks(chunk_bytes)

    def head(self, key: str) -> tuple[int, dict[str, str]] | None:
        """Return size and metadata, None when the bucket says that it is not there."""
        try:
            with translated("look at", key):
                answer = self.client.head_object(Bucket=self.name, Key=self.full(key))
                return answer["ContentLength"], answer["Metadata"]
        except AbsentError:
            return None

    def etag(self, key: str) -> str:
        """Return an object's ETag, "" when the bucket says that it is not there."""
        try:
            with translated("look at", key):
                return self.client.head_object(Bucket=self.name, Key=self.full(key))["ETag"]
        except AbsentError:
            return ""

    def list(self, prefix: str = "") -> dict[str, int]:
        """Return keys (relative to the run prefix) and sizes, in key order."""
        sizes: dict[str, int] = {}
        cut = len(self.prefix) + 1
        with translated("list", prefix or "(all)"):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=self.full(prefix)):
                for entry in page.get("Contents", []):
                    sizes[entry.get("Key", "")[cut:]] = entry.get("Size", 0)
        return sizes

    def delete(self, key: str) -> None:
        """Delete an object; silent when it is not there."""
        with translated("delete", key):
            self.client.delete_object(Bucket=self.name, Key=self.full(key))

    def abort_uploads(self) -> list[str]:
        """Abort multipart uploads that nobody completed; return their keys."""
        with translated("list uploads of", "the run"):
            pages = self.client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.name, Prefix=self.full("")
            )
            unfinished = [upload for page in pages for upload in page.get("Uploads", [])]
        for upload in unfinished:
            key = upload.get("Key", "")
            with suppress(AbsentError), translated("abort the upload of", key):
                self.client.abort_multipart_upload(
                    Bucket=self.name, Key=key, UploadId=upload.get("UploadId", "")
                )
        return [upload.get("Key", "")[len(self.full("")) :] for upload in unfinished]


def content_type(key: str) -> str:
    """Return the media type that a browser should see."""
    endings = {
        ".json": "application/json",
        ".jsonl": "application/x-ndjson",
        ".log": "text/plain; charset=utf-8",
        ".md": "text/markdown; charset=utf-8",
    }
    return next(
        (kind for ending, kind in endings.items() if key.endswith(ending)),
        "application/octet-stream",
    )


class translated:  # noqa: N801  # a context manager that reads as a word
    """Turn botocore's errors into this module's, by what the caller can do about them."""

    def __init__(self, verb: str, key: str) -> None:
        self._what = f"cannot {verb} {key} in the bucket"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError):
            raise self._from_answer(error) from None
        if isinstance(error, BotoCoreError | HTTPError | OSError):
            # Names only: an exception's text may hold an address.
            raise BucketUnavailableError(f"{self._what}: {type(error).__name__}") from None

    def _from_answer(self, error: ClientError) -> BucketError:
        answer = cast("dict[str, Any]", error.response)
        code = str(answer.get("Error", {}).get("Code", ""))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        text = f"{self._what}: HTTP {status} {code}"
        if code in ("NoSuchKey", "404", "NoSuchUpload", "NotFound"):
            return AbsentError(text)
        if status == 412 or (status == 409 and code == "ConditionalRequestConflict"):
            return ObjectChangedError(text)
        if status in (401, 403) or code == "NoSuchBucket":
            return BucketRefusedError(f"{text}; check the run's token and the bucket's name")
        return BucketUnavailableError(text)
