"""The bucket as `runs` reads it: listings, whole objects, records; says why when it cannot.

Not responsible for where the bucket is or with which key (source.py). Deleting is in remove.py.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
from urllib3.exceptions import HTTPError

from components.ledger.page import FOLDER
from container.contract.nearest import listed
from container.contract.records import Record, RecordError
from container.transport.r2 import TERMINAL, clock_problem, code_of, kind_of, why
from runs.errors import (
    AccessRefusedError,
    NoSuchRunError,
    RunsError,
    UnreachableError,
    UnreadableError,
)
from runs.waits import waiting

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

READERS = 16  # parallel small reads: 200 objects a second at 80 ms a round trip
_READ_AHEAD = 128  # objects held in memory at most, when the reader is slow

R = TypeVar("R", bound=Record)


def is_of_ledger(prefix: str) -> bool:
    """Say whether a prefix is of the ledger of rentals, which is no run's."""
    return f"{prefix}/".startswith(FOLDER)


class AbsentError(NoSuchRunError):
    """The bucket answered that an object is not there; caught where that may be."""


class TooShortError(RunsError):
    """An object ends before the range that was asked for."""


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object of a listing; `key` is the whole key in the bucket."""

    key: str
    size_bytes: int
    modified_at: datetime
    etag: str = ""


class ReadOnlyBucket:
    """One bucket, read only."""

    def __init__(self, client: S3Client, *, name: str, endpoint: str) -> None:
        self.client = client
        self.name = name
        self.endpoint = endpoint

    def read(self, key: str) -> bytes | None:
        """Return a whole object, or None when the bucket says that it is not there."""
        try:
            with self._asked(f"read {key}"):
                return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except AbsentError:
            return None

    @overload
    def record(self, key: str, kind: type[R]) -> R | None: ...
    @overload
    def record(self, key: str, kind: type[R], *, required: Literal[True]) -> R: ...
    def record(self, key: str, kind: type[R], *, required: bool = False) -> R | None:
        """Return a stored record; None, or NoSuchRunError when it is required, if it is absent."""
        raw = self.read(key)
        if raw is None:
            if required:
                raise NoSuchRunError(
                    f"bucket {self.name} has no {key}.\n"
                    "The run has not come that far: see `python -m runs status`, and "
                    "`python -m runs list` for other runs."
                )
            return None
        return self.decoded(key, raw, kind)

    def decoded(self, key: str, raw: bytes, kind: type[R]) -> R:
        """Return the record that an object's bytes are; UnreadableError when they are none."""
        try:
            return kind.from_json(raw)
        except RecordError as error:
            raise UnreadableError(
                f"{key} in bucket {self.name} cannot be read: {error}.\n"
                "It is damaged, or a newer trainstack wrote it: then update this checkout."
            ) from None

    def read_many(self, keys: list[str]) -> Iterator[tuple[str, bytes | None]]:
        """Yield each key with its content, in the order given; read in parallel, some ahead."""
        with ThreadPoolExecutor(READERS) as pool:
            for begin in range(0, len(keys), _READ_AHEAD):
                batch = keys[begin : begin + _READ_AHEAD]
                yield from zip(batch, pool.map(self.read, batch), strict=True)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """Yield every object below a prefix, in key order, whatever their number."""
        for page in self._pages(Prefix=prefix):
            for entry in page.get("Contents", []):
                yield StoredObject(
                    key=entry["Key"],
                    size_bytes=entry["Size"],
                    modified_at=entry["LastModified"],
                    etag=entry.get("ETag", ""),
                )

    def holds(self, prefix: str) -> bool:
        """Say whether anything lies in this folder, an open upload included."""
        below = f"{prefix}/"
        with self._asked(f"list {below}"):
            page: Any = self.client.list_objects_v2(Bucket=self.name, Prefix=below, MaxKeys=1)
            if page.get("Contents"):
                return True
            uploads: Any = self.client.list_multipart_uploads(
                Bucket=self.name, Prefix=below, MaxUploads=1
            )
        return bool(uploads.get("Uploads"))

    def folders(self) -> list[str]:
        """Return the names before the first slash of all keys, the run prefixes; no ledger."""
        names = [
            entry["Prefix"].rstrip("/")
            for page in self._pages(Delimiter="/")
            for entry in page.get("CommonPrefixes", [])
        ]
        return [name for name in names if not is_of_ledger(name)]

    def now(self) -> datetime:
        """Return the bucket's time: this machine's clock may be wrong. Raises if it has none."""
        with self._asked("list"):
            answer: Any = self.client.list_objects_v2(Bucket=self.name, MaxKeys=1)
        headers: dict[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
        try:
            return parsedate_to_datetime(headers["date"]).astimezone(UTC)
        except (LookupError, ValueError):
            raise UnreachableError(
                f"the server at {self.endpoint} tells no time.\n"
                "R2_ENDPOINT_URL, where it is set, must be the address of an S3 server."
            ) from None

    def _pages(self, **words: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, Any] = {}
        while True:
            with self._asked(f"list {words.get('Prefix', '')}".strip()):
                page: Any = self.client.list_objects_v2(Bucket=self.name, **words, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _which_there_are(self) -> str:
        """Name the account's buckets, the nearest first; "" where the key may not list them."""
        try:
            found = self.client.list_buckets().get("Buckets", [])
        except (BotoCoreError, ClientError, HTTPError):
            return ""
        names = [bucket.get("Name", "") for bucket in found]
        return f"There are, the nearest first: {listed(self.name, names)}.\n" if names else ""

    @contextmanager
    def _asked(self, action: str) -> Generator[None]:
        asked = waiting(f"bucket {self.name}", at_most_s=TERMINAL.answers_within_s)
        with asked, self.explained(action):
            yield

    @contextmanager
    def explained(self, action: str) -> Generator[None]:
        """Turn what botocore raises within into an error that says what to do."""
        try:
            yield
        except ClientError as error:
            raise self._explain(error, action) from None
        except EndpointConnectionError:
            raise UnreachableError(
                f"cannot {action}: nothing answers at {self.endpoint}.\n"
                "In the local world the S3 server may be stopped: python -m localcloud start.\n"
                "Else check the network, and R2_ENDPOINT_URL or the account id."
            ) from None
        except (BotoCoreError, HTTPError) as error:  # a body that is cut may raise urllib3's own
            raise UnreachableError(
                f"cannot {action} in bucket {self.name}: {why(error)}, at "
                f"{self.endpoint}.\nTry again; `python -m runs doctor` checks keys and addresses."
            ) from None

    def _explain(self, error: ClientError, action: str) -> Exception:
        code, kind = code_of(error), kind_of(error)
        if problem := clock_problem(error):
            return AccessRefusedError(f"cannot {action} in bucket {self.name}: {problem}.")
        if kind == "absent":
            return AbsentError(
                f"cannot {action}: {self.endpoint} has no such thing in bucket {self.name}.\n"
                "R2_ENDPOINT_URL, where it is set, must be the address of the whole account."
            )
        if kind == "too short":
            return TooShortError(
                f"cannot {action}: the object in bucket {self.name} is shorter than recorded.\n"
                "It was cut or replaced: an earlier checkpoint may be whole."
            )
        if kind == "no bucket":
            return NoSuchRunError(
                f"cannot {action}: there is no bucket {self.name} at {self.endpoint}.\n"
                f"{self._which_there_are()}`pulumi up` makes it; else the name, account or "
                "jurisdiction is another."
            )
        if kind == "refused":
            return AccessRefusedError(
                f"cannot {action}: bucket {self.name} refused the key ({code}).\n"
                "The Cloudflare token must be of this account and may read R2: see "
                "`python -m runs doctor`."
            )
        return UnreachableError(
            f"cannot {action} in bucket {self.name}: the server answered {code or 'an error'}.\n"
            "Try again; `python -m runs doctor` checks keys and addresses."
        )
