"""Reading a run's verdict in its bucket, and nothing else of the run; no decision about renting.

Asked with the operator's own access where there is one, as the run's may have expired; else with
the run's. Whoever asks must be able to rely on None: it means that the bucket answered "no such
object", never that it did not answer.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from components.config.endpoints import CLOUDFLARE_TOKEN, entered
from components.errors import TrainstackError
from components.r2 import cloudflare
from components.r2.cloudflare import S3Access
from container.contract.keys import VERDICT_KEY, mended_key, stopped_key
from container.contract.pasted import cleaned, flaw
from container.contract.records import RecordError, Verdict
from container.transport.r2 import PROGRAM, Limits, kind_of, make_client, why

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_s3 import S3Client


class BucketUnreachableError(TrainstackError):
    """The bucket gave no answer that tells whether the run has ended."""


@dataclass(frozen=True, kw_only=True)
class RunPlace:
    """Where a run's records stand."""

    account_id: str
    endpoint: str
    bucket: str
    prefix: str


class VerdictReader:
    """One bucket, through one S3 access."""

    def __init__(self, access: S3Access, *, endpoint: str, bucket: str) -> None:
        self._access = access
        self._endpoint = endpoint
        self._bucket = bucket

    def find_verdict(self, prefix: str) -> Verdict | None:
        """Return the verdict under a run prefix; raises BucketUnreachableError when unknown."""
        raw = self.find_object(f"{prefix}/{VERDICT_KEY}")
        if raw is None:
            return None
        try:
            return Verdict.from_json(raw)
        except RecordError as error:
            raise BucketUnreachableError(
                f"the verdict at {self._bucket}/{prefix} cannot be read ({error}). Use the version "
                "of this project that wrote it."
            ) from None

    def find_object(self, key: str) -> bytes | None:
        """Return an object's bytes, or None when the bucket says that there is none."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self.client().get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            if kind_of(error) == "absent":
                return None
            raise self._unreachable(key, error) from None
        except BotoCoreError as error:
            raise self._unreachable(key, error) from None

    def set_aside_verdict(self, verdict: Verdict, *, prefix: str) -> None:
        """Keep a verdict under another name, so that the run can go on.

        Only one that was `stopped`, or `failed` where its cause was mended.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        key = f"{prefix}/{VERDICT_KEY}"
        kept_as = stopped_key if verdict.outcome == "stopped" else mended_key
        kept = f"{prefix}/{kept_as(verdict.attempt)}"
        try:
            self.client().put_object(Bucket=self._bucket, Key=kept, Body=verdict.to_json())
            self.client().delete_object(Bucket=self._bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise self._unreachable(key, error) from None

    def client(self) -> S3Client:
        """Return the boto3 client, with the settings that R2 needs."""
        return s3_client(self._access, endpoint=self._endpoint)

    def _unreachable(self, key: str, error: ClientError | BotoCoreError) -> BucketUnreachableError:
        return BucketUnreachableError(
            f"{self._bucket}/{key} cannot be read ({why(error)}), so it is not known whether the "
            "run has ended. Check CLOUDFLARE_API_TOKEN and the network, then try again."
        )


@lru_cache(maxsize=64)
def s3_client(access: S3Access, *, endpoint: str, limits: Limits = PROGRAM) -> S3Client:
    """Return the program's client for one access; the same one while the process lives."""
    return make_client(
        endpoint=endpoint,
        access_key_id=access.access_key_id,
        secret_access_key=access.secret_access_key,
        limits=limits,
    )


def find_verdict(
    place: RunPlace, *, run_access: S3Access | None, config: Mapping[str, str] | None = None
) -> Verdict | None:
    """Return a run's verdict, or None when there is surely none.

    Tries the operator's access (CLOUDFLARE_API_TOKEN, or the stack's `cloudflare:apiToken`), then
    the run's own. Raises BucketUnreachableError when neither can tell.
    """
    last: TrainstackError | None = None
    try:
        token = operator_token(config or {})
    except BucketUnreachableError as error:
        token, last = "", error
    if token:
        try:
            access = _operator_access(token, place.account_id, cloudflare_base_url())
            return _reader(access, place).find_verdict(place.prefix)
        except TrainstackError as error:
            last = error
    if run_access is not None:
        try:
            return _reader(run_access, place).find_verdict(place.prefix)
        except TrainstackError as error:
            last = last or error
    raise last or BucketUnreachableError(
        "it is not known whether the run has ended: CLOUDFLARE_API_TOKEN is not set. Set it, or "
        "source the local world's env file."
    )


def operator_access(place: RunPlace, *, config: Mapping[str, str]) -> S3Access:
    """Return the operator's own access; raises TrainstackError when it cannot be had."""
    token = operator_token(config)
    if not token:
        raise BucketUnreachableError("CLOUDFLARE_API_TOKEN is not set")
    return _operator_access(token, place.account_id, cloudflare_base_url())


def operator_token(config: Mapping[str, str]) -> str:
    """Return the operator's Cloudflare token: from the environment first, then the stack config.

    Raises BucketUnreachableError for one that no header can carry.
    """
    in_shell = entered(os.environ).get("CLOUDFLARE_API_TOKEN")
    token = in_shell or cleaned(config.get(CLOUDFLARE_TOKEN) or "")
    if wrong := flaw("CLOUDFLARE_API_TOKEN" if in_shell else CLOUDFLARE_TOKEN, token):
        raise BucketUnreachableError(wrong)
    return token


def cloudflare_base_url() -> str:
    """Return Cloudflare's address in this environment; "" is the real one."""
    return entered(os.environ).get("CLOUDFLARE_BASE_URL", "")


def _reader(access: S3Access, place: RunPlace) -> VerdictReader:
    return VerdictReader(access, endpoint=place.endpoint, bucket=place.bucket)


@lru_cache(maxsize=4)
def _operator_access(token: str, account_id: str, base_url: str) -> S3Access:
    return cloudflare.Client(token, account_id=account_id, base_url=base_url).operator_access()
