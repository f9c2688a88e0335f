"""The objects of one run prefix, as whoever ends the run needs them: read, list, write, delete."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from components.errors import TrainstackError
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import RunPlace, s3_client
from container.contract.keys import VERDICT_KEY
from container.contract.records import Record
from container.transport.r2 import Limits, kind_of, seconds_ahead, why

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

TOLD = Limits(connect_s=5, read_s=10, tries=1, connections=4)
"""For what people are told: a bucket that does not answer soon is not waited for."""

_ENDING = Limits(connect_s=5, read_s=15, tries=2, connections=10)
"""A machine bills while its run's bucket is waited for, and whoever waits asks again."""

_R = TypeVar("_R", bound=Record)
_T = TypeVar("_T")


class RunObjectsError(TrainstackError):
    """The bucket gave no answer, or refused; what it holds is not known."""


class _AbsentError(RunObjectsError):
    """The object is not there."""


@dataclass(frozen=True, kw_only=True)
class RunObject:
    """One object as it was read."""

    body: bytes
    age_s: float | None  # since it was written, by the bucket's clock; None: not told


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
        found = self.find(key)
        return None if found is None else found.body

    def record(self, key: str, kind: type[_R]) -> _R | None:
        """Return a record, None when the bucket says that there is none.

        Raises RecordError as well, for one that is damaged.
        """
        raw = self.read(key)
        return None if raw is None else kind.from_json(raw)

    def find(self, key: str) -> RunObject | None:
        """Return an object with its age, None when the bucket says that there is none."""
        try:
            with self._asked("read", key):
                answer = self.client.get_object(Bucket=self.bucket, Key=self._full(key))
                return RunObject(body=answer["Body"].read(), age_s=_age_s(answer))
        except _AbsentError:
            return None

    def sizes(self) -> dict[str, int]:
        """Return all keys with their sizes."""
        return {key: entry.get("Size", 0) for key, entry in self._listed("")}

    def times(self, under: str) -> dict[str, datetime]:
        """Return the keys that begin so, with the time at which each was written."""
        never = datetime.min.replace(tzinfo=UTC)
        return {key: entry.get("LastModified") or never for key, entry in self._listed(under)}

    def write(self, key: str, body: bytes) -> None:
        """Write an object whole."""
        with self._asked("write", key):
            self.client.put_object(Bucket=self.bucket, Key=self._full(key), Body=body)

    def delete(self, key: str) -> None:
        """Delete an object; silent when there is none."""
        with self._asked("delete", key):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def _listed(self, under: str) -> list[tuple[str, ObjectTypeDef]]:
        with self._asked("list", under):
            pages = self.client.get_paginator("list_objects_v2")
            listed = pages.paginate(Bucket=self.bucket, Prefix=self._full(under))
            entries = [entry for page in listed for entry in page.get("Contents", [])]
        return [(entry.get("Key", "").removeprefix(self._full("")), entry) for entry in entries]

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


def of_run(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> RunObjects:
    """Return a run's objects through the first access that the bucket answers.

    Raises RunObjectsError with the first one's reason when there is none.
    """

    def answered(objects: RunObjects) -> RunObjects:
        objects.read(VERDICT_KEY)
        return objects

    return first_answer(place, accesses, answered, limits=_ENDING)


def first_answer(
    place: RunPlace,
    accesses: Sequence[Callable[[], S3Access]],
    ask: Callable[[RunObjects], _T],
    *,
    limits: Limits = TOLD,
) -> _T:
    """Return what is answered through the first access that can be had and is taken.

    Raises RunObjectsError with the first one's reason when there is none, and what else `ask` does.
    """
    reasons: list[str] = []
    for access in accesses:
        try:
            client = s3_client(access(), endpoint=place.endpoint, limits=limits)
            return ask(RunObjects(client=client, bucket=place.bucket, prefix=place.prefix))
        except TrainstackError as error:
            reasons.append(str(error).rstrip("."))
    raise RunObjectsError(reasons[0] if reasons else "there is no key for the bucket")


def _age_s(answer: Mapping[str, Any]) -> float | None:
    """Tell an object's age by the answer alone: no clock of this machine's is asked."""
    written = answer.get("LastModified")
    if not isinstance(written, datetime):
        return None
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    ahead_s = seconds_ahead(headers, now=written)
    return None if ahead_s is None else max(-ahead_s, 0.0)
