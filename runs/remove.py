"""Deletes what a run left in the bucket: the one place of `runs` that destroys, and only when told.

Open multipart uploads of the prefix are aborted too: they are billed and no listing shows them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from container.contract.keys import VERDICT_KEY
from runs.errors import RunsError
from runs.source.bucket import AbsentError, ReadOnlyBucket

_BATCH = 1000  # the most that DeleteObjects takes


@dataclass(frozen=True, kw_only=True)
class Remains:
    """What stands below a prefix."""

    prefix: str
    keys: Sequence[str]
    size_bytes: int
    uploads: Sequence[tuple[str, str]]  # (key, upload id) of open multipart uploads

    @property
    def ended(self) -> bool:
        """Whether a verdict is among them: without one, a machine may still be writing here."""
        return f"{self.prefix}/{VERDICT_KEY}" in self.keys


def remains(bucket: ReadOnlyBucket, prefix: str) -> Remains:
    """List everything below the prefix."""
    objects = list(bucket.objects(f"{prefix}/"))
    return Remains(
        prefix=prefix,
        keys=[stored.key for stored in objects],
        size_bytes=sum(stored.size_bytes for stored in objects),
        uploads=list(_open_uploads(bucket, f"{prefix}/")),
    )


def remove(bucket: ReadOnlyBucket, remains: Remains, *, progress: Callable[[int], None]) -> None:
    """Delete it all; the verdict last, so that a run half deleted still counts as ended.

    Raises RunsError that says how many are left; the same call again goes on.
    """
    for key, upload_id in remains.uploads:
        # One that ended since it was listed is what was wanted.
        with suppress(AbsentError), bucket.explained(f"abort the upload of {key}"):
            bucket.client.abort_multipart_upload(Bucket=bucket.name, Key=key, UploadId=upload_id)
    verdict = f"{remains.prefix}/{VERDICT_KEY}"
    keys = sorted(remains.keys, key=lambda key: key == verdict)
    for begin in range(0, len(keys), _BATCH):
        batch = keys[begin : begin + _BATCH]
        with bucket.explained(f"delete {len(batch)} objects"):
            answer = bucket.client.delete_objects(
                Bucket=bucket.name,
                Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True},
            )
        if errors := answer.get("Errors", []):
            raise RunsError(
                f"{len(errors)} objects were not deleted, the first is {errors[0].get('Key', '?')} "
                f"({errors[0].get('Code', '?')}).\nDelete again; a lock rule of the bucket would "
                "refuse it for ever."
            )
        progress(len(batch))


def _open_uploads(bucket: ReadOnlyBucket, prefix: str) -> Iterator[tuple[str, str]]:
    marker: dict[str, Any] = {}
    while True:
        with bucket.explained(f"list open uploads of {prefix}"):
            page: Any = bucket.client.list_multipart_uploads(
                Bucket=bucket.name, Prefix=prefix, **marker
            )
        for upload in page.get("Uploads", []):
            yield upload["Key"], upload["UploadId"]
        if not page.get("IsTruncated"):
            return
        marker = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
