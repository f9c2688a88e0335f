"""Reads and writes the pages of the ledger; a write only lands on what was read before it.

Whoever reads can rely on an empty page: the bucket said that there is none, or that there is no
such bucket. After a lost reply the page is read again before it is written again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import tenacity

from components.errors import TrainstackError
from components.ledger import bad_places
from components.ledger.bad_places import BadPlace, BadPlaces, BadPlacesError
from components.ledger.page import FOLDER, Owner, Page, PageError
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import s3_client
from container.transport.r2 import Limits, clock_problem, kind_of, why

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WRITE_FOR_S = 60.0
READ_FOR_S = 20.0
# botocore repeats no call by itself: a page is read anew before it is written again.
LIMITS = Limits(connect_s=5, read_s=15, tries=1, connections=10)

Found = TypeVar("Found")

Access = Callable[[], S3Access]
Edit = Callable[[Page, datetime], Page]


class LedgerError(TrainstackError):
    """The ledger cannot be read or written: what it holds is not known."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A page, and the bucket's time when it was read or written."""

    page: Page
    now: datetime


class Ledger(Protocol):
    """The ledger of one bucket."""

    def read(self, owner: Owner) -> Reading:
        """Return a run's page, an empty one where there is none. Raises LedgerError."""
        ...

    def edit(self, owner: Owner, change: Edit) -> Reading:
        """Replace a run's page by what `change` makes of it and of the bucket's time.

        `change` is called again when somebody else wrote in between, and may raise to leave the
        page as it is. Raises LedgerError, after which the change may have landed or not.
        """
        ...

    def pages(self) -> list[Page]:
        """Return all pages of the bucket. Raises LedgerError."""
        ...

    def bad_places(self) -> BadPlaces:
        """Return where machines did not work, what is forgotten left out. Raises LedgerError."""
        ...

    def remember_bad(self, place: BadPlace) -> None:
        """Add a place where a machine did not work. Raises LedgerError."""
        ...


class BucketLedger:
    """The ledger in a real bucket, through the first of some accesses that the bucket takes.

    `writers` are those that may write, where not all may.
    """

    def __init__(
        self,
        accesses: Sequence[Access],
        *,
        endpoint: str,
        bucket: str,
        writers: Sequence[Access] | None = None,
        read_for_s: float = READ_FOR_S,
        write_for_s: float = WRITE_FOR_S,
    ) -> None:
        self._readers = accesses
        self._writers = accesses if writers is None else writers
        self._endpoint = endpoint
        self._bucket = bucket
        self._read_for_s = read_for_s
        self._write_for_s = write_for_s

    def read(self, owner: Owner) -> Reading:
        return self._retrying(
            self._read_for_s, lambda client: self._read(client, owner)[0], self._readers
        )

    def edit(self, owner: Owner, change: Edit) -> Reading:
        return self._retrying(
            self._write_for_s, lambda client: self._edit(client, owner, change), self._writers
        )

    def pages(self) -> list[Page]:
        return self._retrying(self._read_for_s, self._pages, self._readers)

    def bad_places(self) -> BadPlaces:
        def read(client: S3Client) -> BadPlaces:
            raw, now, _ = self._object(client, bad_places.KEY)
            return bad_places.standing(self._places(raw), now=now)

        return self._retrying(self._read_for_s, read, self._readers)

    def remember_bad(self, place: BadPlace) -> None:
        def add(client: S3Client) -> None:
            raw, _, etag = self._object(client, bad_places.KEY)
            places = bad_places.with_place(self._places(raw), place)
            self._put(client, bad_places.KEY, bad_places.to_json(places), etag=etag)

        self._retrying(self._write_for_s, add, self._writers)

    def _edit(self, client: S3Client, owner: Owner, change: Edit) -> Reading:
        before, etag = self._read(client, owner)
        page = change(before.page, before.now)
        if page == before.page:
            return before
        return Reading(page=page, now=self._put(client, owner.key, page.to_json(), etag=etag))

    def _put(self, client: S3Client, key: str, body: bytes, *, etag: str) -> datetime:
        condition: dict[str, Any] = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        answer = client.put_object(
            Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", **condition
        )
        return _now(answer)

    def _read(self, client: S3Client, owner: Owner) -> tuple[Reading, str]:
        raw, now, etag = self._object(client, owner.key)
        page = Page(owner=owner) if raw is None else self._parsed(owner.key, raw)
        return Reading(page=page, now=now), etag

    def _object(self, client: S3Client, key: str) -> tuple[bytes | None, datetime, str]:
        """Return an object (None: there is none), the bucket's time, and the object's version."""
        from botocore.exceptions import ClientError

        try:
            answer = client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if kind_of(error) not in ("absent", "no bucket"):
                raise
            return None, _now(error.response), ""
        return answer["Body"].read(), _now(answer), answer["ETag"]

    def _places(self, raw: bytes | None) -> BadPlaces:
        try:
            return () if raw is None else bad_places.from_json(raw)
        except BadPlacesError as error:
            raise LedgerError(
                f"what did not work, {self._bucket}/{bad_places.KEY}, cannot be read: {error}. "
                "Delete that object to forget it, or use the version of this project that wrote it."
            ) from None

    def _pages(self, client: S3Client) -> list[Page]:
        from botocore.exceptions import ClientError

        found: list[Page] = []
        listing = client.get_paginator("list_objects_v2")
        try:
            for answer in listing.paginate(Bucket=self._bucket, Prefix=FOLDER):
                for entry in answer.get("Contents", []):
                    key = entry.get("Key", "")
                    raw = client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
                    found.append(self._parsed(key, raw))
        except ClientError as error:
            if kind_of(error) != "no bucket":
                raise
        return found

    def _parsed(self, key: str, raw: bytes) -> Page:
        try:
            return Page.from_json(raw)
        except PageError as error:
            raise LedgerError(
                f"the ledger at {self._bucket}/{key} cannot be read: {error}. Use the version of "
                "this project that wrote it."
            ) from None

    def _retrying(
        self, for_s: float, call: Callable[[S3Client], Found], accesses: Sequence[Access]
    ) -> Found:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_LaterError),
            wait=tenacity.wait_random_exponential(multiplier=0.3, max=5),
            stop=tenacity.stop_after_delay(for_s),
            reraise=True,
        )

        def once() -> Found:
            return self._once(call, accesses)

        try:
            return retrying(once)
        except _LaterError as error:
            raise LedgerError(
                f"the ledger of rentals in bucket {self._bucket} could not be used for "
                f"{for_s:.0f} s ({error})."
            ) from None

    def _once(self, call: Callable[[S3Client], Found], accesses: Sequence[Access]) -> Found:
        from botocore.exceptions import BotoCoreError, ClientError

        unusable = "there is no key for it"
        for access in accesses:
            try:
                client = self._client(access())
            except LedgerError:
                raise
            except TrainstackError as error:
                unusable = str(error)  # this access cannot be had; perhaps the next one can
                continue
            try:
                return call(client)
            except ClientError as error:
                unusable = why(error)
                if clock_problem(error):
                    raise LedgerError(
                        f"the ledger of rentals in bucket {self._bucket} cannot be read: {unusable}"
                    ) from None
                if kind_of(error) != "refused":
                    raise _LaterError(unusable) from None
            except BotoCoreError as error:
                raise _LaterError(why(error)) from None
        raise _LaterError(unusable)

    def _client(self, access: S3Access) -> S3Client:
        return s3_client(access, endpoint=self._endpoint, limits=LIMITS)


class _LaterError(Exception):
    pass


def _now(answer: Any) -> datetime:
    """Return the bucket's time of an answer; this machine's where it tells none."""
    headers: dict[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (LookupError, ValueError):
        return datetime.now(UTC)
