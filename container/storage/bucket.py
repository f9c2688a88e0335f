"""The run's bucket over S3: keys below one prefix, errors by what the caller decides.

No policy here: no retry beyond botocore's own few, no queue, no order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

from botocore.exceptions import BotoCoreError, ClientError, SSLError
from urllib3.exceptions import HTTPError

from container.contract.redacted import RedactedError
from container.transport.r2 import code_of, kind_of, refusal_of, status_of

SMALL_OBJECT_BYTES = 8 * 2**20
# No answer, or one that cannot be read: cut, no HTTP, a number that is none, a header that lacks.
_NO_ANSWER = (BotoCoreError, HTTPError, OSError, HTTPException, ValueError, KeyError)
# OpenSSL's words, crypto/x509/x509_txt.c: without TLS there is no answer that bears a date.
_NOT_VALID_NOW = ("certificate is not yet valid", "certificate has expired")


class BucketError(RedactedError):
    """An object could not be read or written; says which and why, without credentials."""


class BucketUnavailableError(BucketError):
    """The bucket did not answer, or said that it cannot now: the same call may succeed later."""


class BucketRefusedError(BucketError):
    """The bucket refuses these credentials or this bucket; a new token may need a minute."""


class BucketClockError(BucketRefusedError):
    """The bucket refuses the time that this machine signs with, the corrected one included."""


class AbsentError(BucketError):
    """The bucket says that the object is not there."""


class ObjectChangedError(BucketError):
    """A conditional write met an object that is not the expected one."""


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
        if isinstance(error, SSLError) and any(words in str(error) for words in _NOT_VALID_NOW):
            now = datetime.now(UTC)
            raise BucketClockError(
                f"{self._what}: its certificate is not valid at this machine's time, {now:%F %H:%M}"
            ) from None
        if isinstance(error, _NO_ANSWER):
            # Names only: an exception's text may hold an address.
            raise BucketUnavailableError(f"{self._what}: {type(error).__name__}") from None

    def _from_answer(self, error: ClientError) -> BucketError:
        text = f"{self._what}: HTTP {status_of(error)} {code_of(error)}"
        match kind_of(error):
            case "absent":
                return AbsentError(text)
            case "changed":
                return ObjectChangedError(text)
            case "clock":
                return BucketClockError(f"{text}; {refusal_of(error)}")
            case "refused" | "no bucket":
                return BucketRefusedError(f"{text}; {refusal_of(error)}")
            case "too short" | "later":
                return BucketUnavailableError(text)
