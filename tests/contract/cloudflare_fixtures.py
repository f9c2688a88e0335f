"""The local Cloudflare API over a real S3 server, on loopback alone, for the contract tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from cloudflare import Cloudflare

from localcloud.cloudflare_api.identities import Identity, WeedIdentities
from localcloud.cloudflare_api.permissions import BUCKET_SCOPE, ITEM_WRITE
from localcloud.cloudflare_api.service import cloudflare_service
from localcloud.object_store.seaweedfs import s3_service, weed_addresses
from localcloud.place import ACCOUNT_ID, Place, load_place
from localcloud.processes import Supervised


@contextmanager
def running(directory: Path) -> Iterator[LocalAccount]:
    """Run S3 and API in `directory`; yield the account's face; leave no process."""
    # 127.0.0.1 is the gateway of this subnet: the services need no Docker network then.
    place = replace(load_place(directory), subnet="127.0.0.0/8")
    supervised = Supervised(place.run_folder, place.log_folder)
    services = [s3_service(place), cloudflare_service(place)]
    try:
        for service in services:
            if service.prepare:
                service.prepare(print)
            supervised.start(service)
        yield LocalAccount(place)
    finally:
        for service in reversed(services):
            supervised.stop(service)


class LocalAccount:
    """What the tests do with an account, with the vendor's client and with boto3."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.id = ACCOUNT_ID
        self.api = self.api_with(place.operator_token)
        self.operator_s3 = self._s3(place.operator_token_id, place.operator_s3_secret)

    def api_with(self, token: str) -> Any:
        """Return the official client with a token; its retries stay as shipped."""
        return Cloudflare(api_token=token, base_url=self.place.cloudflare_url)

    def s3_with(self, token: Any) -> Any:
        """Return an S3 client with the keys that Cloudflare derives from a token."""
        return self._s3(token.id, sha256(token.value.encode()).hexdigest())

    def make_bucket(self, name: str, *, jurisdiction: str = "default", **more: Any) -> Any:
        return self.api.r2.buckets.create(
            account_id=self.id, name=name, extra_headers=of(jurisdiction), **more
        )

    def make_token(self, *buckets: str, **more: Any) -> Any:
        return self.api.accounts.tokens.create(
            account_id=self.id, name="a run", policies=[self.policy(*buckets)], **more
        )

    def policy(self, *buckets: str, jurisdiction: str = "default") -> Any:
        """Return the policy that a run gets: read and write the objects of these buckets."""
        keys = [f"{BUCKET_SCOPE}.{self.id}_{jurisdiction}_{bucket}" for bucket in buckets]
        return {
            "effect": "allow",
            "permission_groups": [{"id": ITEM_WRITE.id}],
            "resources": dict.fromkeys(keys, "*"),
        }

    def identities(self) -> dict[str, Identity]:
        """Return what the S3 server itself knows of our tokens."""
        master, filer = weed_addresses(self.place)
        return WeedIdentities(master=master, filer=filer).read()

    def _s3(self, access_key: str, secret_key: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.place.s3_url,
            region_name="auto",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def of(jurisdiction: str) -> dict[str, str]:
    """Return the header that names a jurisdiction; the client has no argument for it."""
    return {"cf-r2-jurisdiction": jurisdiction}


def refusal(call: Any, **arguments: Any) -> str:
    """Return the S3 error code of a call, or "allowed"."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response.get("Error", {}).get("Code"))
    return "allowed"
