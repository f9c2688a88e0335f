"""The objects of one run prefix, as whoever ends the run needs them: read, list, write, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.errors import TrainstackError
from container.transport.r2 import kind_of, why

if TYPE_CHECKING:
    from collections.abc import Generator

    from mypy_boto3_s3 import S3Client

from contextlib import contextmanager


class RunObjectsError(TrainstackError):
    """The bucket gave no answer, or refused; what it holds is not known."""


class _AbsentError(RunObjectsError):
    """The object is not there."""


@dataclass(frozen=True, kw_only=True)
class RunObjects:
    """Keys are relative to the prefix. Each call raises RunObjectsError."""

    client: S3Client
    bucket: str
    prefix: str

    @property
    def place(self) -> str:
        """The address that people know it by."""
        return f"s3://{self.bucket}/{self.prefix}"

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, None when the bucket says that there is none."""
        try:
            with self._asked("read", key):
                answer = self.client.get_object(Bucket=self.bucket, Key=self._full(key))
                return answer["Body"].read()
        except _AbsentError:
            return None

    def sizes(self) -> dict[str, int]:
        """Return all keys with their sizes."""
        found: dict[str, int] = {}
        with self._asked("list", ""):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._full("")):
                for entry in page.get("Contents", []):
                    found[entry.get("Key", "")[len(self._full("")) :]] = entry.get("Size", 0)
        return found

    def write(self, key: str, body: bytes) -> None:
        """Write an object whole."""
        with self._asked("write", key):
            self.client.put_object(Bucket=self.bucket, Key=self._full(key), Body=body)

    def delete(self, key: str) -> None:
        """Delete an object; silent when there is none."""
        with self._asked("delete", key):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}"

    @contextmanager
    def _asked(self, verb: str, key: str) -> Generator[None]:
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        what = f"cannot {verb} {self.place}/{key}"
        try:
            yield
        except ClientError as error:
            if kind_of(error) == "absent":
                raise _AbsentError(what) from None
            raise RunObjectsError(f"{what}: {why(error)}") from None
        except (BotoCoreError, HTTPError) as error:
            raise RunObjectsError(f"{what}: {why(error)}") from None
