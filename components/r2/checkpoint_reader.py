"""What people are told of a run: its newest checkpoint, its verdict; nothing is decided by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from components.errors import TrainstackError
from components.r2.cloudflare import S3Access
from components.r2.run_objects import RunObjects
from components.r2.verdict_reader import BucketUnreachableError, RunPlace, s3_client
from container.contract.keys import CHECKPOINTS_PREFIX, VERDICT_KEY, MarkerKey
from container.contract.records import RecordError, Verdict
from container.transport.r2 import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client

LIMITS = Limits(connect_s=5, read_s=10, tries=1, connections=4)
NOT_KNOWN = "its newest checkpoint"
FROM_THE_START = "the start, as it has no checkpoint yet"


def newest(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> str:
    """Return in words where the run would go on; `NOT_KNOWN` where the bucket does not say."""
    try:
        found = _newest(place, accesses)
    except BucketUnreachableError:
        return NOT_KNOWN
    return f"step {found.step} of stage {found.stage}" if found else FROM_THE_START


def newest_marker(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> MarkerKey | None:
    """Return the newest checkpoint's marker; None also where the bucket does not say."""
    try:
        return _newest(place, accesses)
    except BucketUnreachableError:
        return None


def ended_with(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> Verdict | None:
    """Return the run's verdict; None also where the bucket does not say, soon."""
    for access in accesses:
        try:
            client = s3_client(access(), endpoint=place.endpoint, limits=LIMITS)
            raw = RunObjects(client=client, bucket=place.bucket, prefix=place.prefix).read(
                VERDICT_KEY
            )
            return Verdict.from_json(raw) if raw is not None else None
        except (TrainstackError, RecordError):
            continue
    return None


def _newest(place: RunPlace, accesses: Sequence[Callable[[], S3Access]]) -> MarkerKey | None:
    from botocore.exceptions import BotoCoreError, ClientError

    for access in accesses:
        try:
            client = s3_client(access(), endpoint=place.endpoint, limits=LIMITS)
            return _newest_of(client, place)
        except (BotoCoreError, ClientError, TrainstackError):
            continue
    raise BucketUnreachableError(f"{place.bucket}/{place.prefix} cannot be listed")


def _newest_of(client: S3Client, place: RunPlace) -> MarkerKey | None:
    listing = client.get_paginator("list_objects_v2")
    found: tuple[datetime, MarkerKey] | None = None
    prefix = f"{place.prefix}/{CHECKPOINTS_PREFIX}"
    for page in listing.paginate(Bucket=place.bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            marker = MarkerKey.parse(entry.get("Key", "").removeprefix(f"{place.prefix}/"))
            at = entry.get("LastModified") or datetime.min.replace(tzinfo=UTC)
            if marker and (found is None or at > found[0]):
                found = at, marker
    return found[1] if found else None
