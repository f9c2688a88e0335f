"""Tells a run's container when its machine's hours end, by an object in its prefix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from components.errors import TrainstackError
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import BucketUnreachableError, RunPlace, s3_client
from container.contract.bought_time import BoughtTime
from container.contract.keys import BOUGHT_KEY
from container.transport.r2 import kind_of, seconds_ahead, why

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def write(
    place: RunPlace,
    accesses: Sequence[Callable[[], S3Access]],
    *,
    make: Callable[[datetime], BoughtTime],
) -> None:
    """Write what `make` makes of the bucket's time, through the first access that is taken.

    Raises BucketUnreachableError; it may have been written then.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    key = f"{place.prefix}/{BOUGHT_KEY}"
    reason = "there is no key for it"
    for access in accesses:
        try:
            client = s3_client(access(), endpoint=place.endpoint)
            record = make(_time_of(client, place.bucket, key))
            client.put_object(
                Bucket=place.bucket,
                Key=key,
                Body=record.to_json(),
                ContentType="application/json",
            )
        except (BotoCoreError, ClientError) as error:
            reason = why(error)
        except TrainstackError as error:
            reason = str(error)  # this access cannot be had; perhaps the next one can
        else:
            return
    raise BucketUnreachableError(f"{place.bucket}/{key} cannot be written ({reason}).")


def _time_of(client: S3Client, bucket: str, key: str) -> datetime:
    """Return the bucket's time; this machine's where no answer tells it."""
    from botocore.exceptions import ClientError

    try:
        answer: Any = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if kind_of(error) != "absent":
            raise
        answer = error.response
    now = datetime.now(UTC)
    ahead_s = seconds_ahead(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}), now=now)
    return now - timedelta(seconds=ahead_s or 0.0)
