"""R2 buckets: kept in the S3 server, which is the truth about which exist; attributes beside it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from container.transport.r2 import Limits, make_client
from localcloud.cloudflare_api import errors
from localcloud.cloudflare_api.permissions import JURISDICTIONS
from localcloud.cloudflare_api.store import Bucket, Store
from localcloud.errors import LocalCloudError

LIMITS = Limits(connect_s=3, read_s=20, tries=3, connections=10)
LOCATIONS = ("APAC", "EEUR", "ENAM", "WEUR", "WNAM", "OC")
STORAGE_CLASSES = ("Standard", "InfrequentAccess")
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]\Z")


class Buckets:
    """The buckets of one account. Differs from R2: a name exists in one jurisdiction only."""

    def __init__(
        self,
        store: Store,
        *,
        endpoint: str,
        access_key: str,
        secret_key: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._access_key = access_key
        self._secret_key = secret_key
        self._clock = clock
        self._lock = threading.Lock()

    def all(self, *, jurisdiction: str) -> list[Bucket]:
        """Return the buckets of a jurisdiction, by name."""
        return [b for b in self._present().values() if b.jurisdiction == jurisdiction]

    def get(self, name: str, *, jurisdiction: str) -> Bucket:
        bucket = self._present().get(name)
        if bucket is None or bucket.jurisdiction != jurisdiction:
            raise errors.bucket_not_found()
        return bucket

    def create(self, body: Any, *, jurisdiction: str) -> Bucket:
        sent = body if isinstance(body, dict) else {}
        name = sent.get("name")
        if not isinstance(name, str) or not _NAME.match(name):
            raise errors.bad_bucket_name()
        storage_class = sent.get("storageClass", "Standard")
        if storage_class not in STORAGE_CLASSES:
            raise errors.bad_request(f"storageClass must be one of {', '.join(STORAGE_CLASSES)}")
        location = str(sent.get("locationHint", "ENAM")).upper()
        if location not in LOCATIONS:
            raise errors.bad_request(f"locationHint must be one of {', '.join(LOCATIONS).lower()}")
        with self._lock:
            if name in self._present():
                raise errors.bucket_exists()
            bucket = Bucket(name, self._clock(), jurisdiction, location, storage_class)
            # First what S3 cannot know, then the bucket: a crash in between leaves no bucket.
            self._store.put_bucket(bucket)
            self._call("create_bucket", Bucket=name)
        return bucket

    def set_storage_class(self, name: str, storage_class: str, *, jurisdiction: str) -> Bucket:
        if storage_class not in STORAGE_CLASSES:
            raise errors.bad_request(
                f"cf-r2-storage-class must be one of {', '.join(STORAGE_CLASSES)}"
            )
        found = self.get(name, jurisdiction=jurisdiction)
        changed = Bucket(name, found.creation_date, jurisdiction, found.location, storage_class)
        self._store.put_bucket(changed)
        return changed

    def delete(self, name: str, *, jurisdiction: str, account_id: str) -> None:
        with self._lock:
            self.get(name, jurisdiction=jurisdiction)
            try:
                self._call("delete_bucket", Bucket=name)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "BucketNotEmpty":
                    raise errors.bucket_not_empty(name, account_id) from error
                raise
            self._store.delete_bucket(name)

    def _present(self) -> dict[str, Bucket]:
        described = self._store.buckets()
        listed = self._call("list_buckets")["Buckets"]
        return {
            entry["Name"]: described.get(entry["Name"])
            or Bucket(entry["Name"], entry["CreationDate"])
            for entry in sorted(listed, key=lambda entry: entry["Name"])
        }

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            return getattr(self._client, operation)(**arguments)
        except BotoCoreError as error:
            raise LocalCloudError(f"the S3 server does not answer: {error}") from error

    @cached_property
    def _client(self) -> Any:
        return make_client(
            endpoint=self._endpoint,
            access_key_id=self._access_key,
            secret_access_key=self._secret_key,
            limits=LIMITS,
        )


def checked_jurisdiction(header: str | None) -> str:
    """Return the jurisdiction that a request's `cf-r2-jurisdiction` header names."""
    named = header or "default"
    if named not in JURISDICTIONS:
        raise errors.bad_request(f"jurisdiction must be one of {', '.join(JURISDICTIONS)}")
    return named


def described(bucket: Bucket) -> dict[str, Any]:
    """Return a bucket as Cloudflare's answers show it."""
    made = bucket.creation_date.astimezone(UTC)
    return {
        "name": bucket.name,
        "creation_date": f"{made:%Y-%m-%dT%H:%M:%S}.{made.microsecond // 1000:03d}Z",
        "location": bucket.location,
        "storage_class": bucket.storage_class,
        "jurisdiction": bucket.jurisdiction,
    }
