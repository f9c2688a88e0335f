"""What people are told of a run: its newest checkpoint, its verdict; nothing is decided by it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from components.errors import TrainstackError
from components.r2.cloudflare import S3Access
from components.r2.run_objects import RunObjects
from components.r2.verdict_reader import RunPlace, s3_client
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
    from botocore.exceptions import BotoCoreError, ClientError

    for access in accesses:
        try:
            client = s3_client(access(), endpoint=place.endpoint, limits=LIMITS)
            return _newest(client, place)
        except (BotoCoreError, ClientError, TrainstackError):
            continue
    return NOT_KNOWN


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


def _newest(client: S3Client, place: RunPlace) -> str:
    listing = client.get_paginator("list_objects_v2")
    found: tuple[datetime, MarkerKey] | None = None
    prefix = f"{place.prefix}/{CHECKPOINTS_PREFIX}"
    for page in listing.paginate(Bucket=place.bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            marker = MarkerKey.parse(entry.get("Key", "").removeprefix(f"{place.prefix}/"))
            at = entry.get("LastModified") or datetime.min.replace(tzinfo=UTC)
            if marker and (found is None or at > found[0]):
                found = at, marker
    if found is None:
        return FROM_THE_START
    stage = found[1].folder.split("/")[1]
    return f"step {found[1].step} of stage {stage}"
