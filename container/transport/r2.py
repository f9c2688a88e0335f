"""R2 by its S3 side: the one client, its address, and what an error answer means; no policy.

Whoever calls decides what follows, in its own error classes and words. boto3 is imported when the
first client is made: the operator's program starts without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from container.transport.network import ca_bundle, proxies_for, reason_of

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session as CoreSession
    from mypy_boto3_s3.client import S3Client
    from urllib3.exceptions import HTTPError

Kind = Literal["absent", "no bucket", "refused", "clock", "changed", "too short", "later"]
"""What a caller can do about an error answer.

absent: the bucket says that this object (or upload) is not there. no bucket: it says so of the
bucket. refused: this key may not; a new token may need a minute. clock: the request was signed with
a wrong time. changed: a condition on the object does not hold. too short: the object ends before
the range. later: the same call may succeed later; nothing is known.
"""

_CODES: Final[Mapping[str, Kind]] = {
    "NoSuchKey": "absent",
    "NotFound": "absent",
    "NoSuchUpload": "absent",
    "404": "absent",
    "NoSuchBucket": "no bucket",
    "InvalidBucketName": "no bucket",
    "AccessDenied": "refused",
    "Unauthorized": "refused",
    "InvalidAccessKeyId": "refused",
    "SignatureDoesNotMatch": "refused",
    "ExpiredToken": "refused",
    "InvalidToken": "refused",
    "401": "refused",
    "403": "refused",
    "RequestTimeTooSkewed": "clock",
    "RequestExpired": "clock",
    "RequestInTheFuture": "clock",
    "ExpiredRequest": "clock",
    "PreconditionFailed": "changed",
    "ConditionalRequestConflict": "changed",
    "InvalidRange": "too short",
}
_STATUSES: Final[Mapping[int, Kind]] = {
    401: "refused",
    403: "refused",
    412: "changed",
    416: "too short",
}


# https://developers.cloudflare.com/r2/api/error-codes/ and
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_REFUSALS: Final[Mapping[str, str]] = {
    "AccessDenied": "the token may not do this: it may be another bucket's, read-only or deleted",
    "Unauthorized": "the token is not known to this account, or has expired",
    "InvalidAccessKeyId": "this account has no such key: its token was deleted or is another's",
    "SignatureDoesNotMatch": "the secret is not that of the key",
    "ExpiredToken": "the token has expired",
    "InvalidToken": "the token is not valid any more",
    "NotEntitled": "R2 is not activated for this account",
    "NotSignedUp": "R2 is not activated for this account",
    "OptInRequired": "R2 is not activated for this account",
    "AccountProblem": "the account is blocked: see its billing at Cloudflare",
    "AllAccessDisabled": "the account is blocked: see its billing at Cloudflare",
    "QuotaExceeded": "the account's quota is used up: see R2 at Cloudflare",
    "ObjectLockedByBucketPolicy": "a lock rule of the bucket forbids it: see the bucket's settings",
}
_OTHER_REFUSAL: Final = "check the token and the bucket's name"

CORRECTED_BY: Final = "ClockCorrectedByS"  # beside an answer's other metadata: signing_clock.py
MOST_CLOCK_SKEW_S: Final = 900.0

REGION: Final = "auto"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long one call may take, how often botocore itself tries, how many at a time."""

    connect_s: float
    read_s: float  # also how long a write to the socket may block
    tries: int
    connections: int

    @property
    def answers_within_s(self) -> float:
        """How long a call may take until it is answered or given up, but for a long body."""
        return self.tries * (self.connect_s + self.read_s)


# On a slow line the kernel takes a megabyte more only when one has left.
MACHINE: Final = Limits(connect_s=20, read_s=60, tries=2, connections=32)
PROGRAM: Final = Limits(connect_s=10, read_s=30, tries=4, connections=10)
TERMINAL: Final = Limits(connect_s=5, read_s=30, tries=4, connections=32)


def make_client(
    *, endpoint: str, access_key_id: str, secret_access_key: str, limits: Limits = MACHINE
) -> S3Client:
    """Return the S3 client for R2 and whatever else speaks S3.

    botocore's default checksums go out as a chunked trailer that R2 still answered with 401 in
    August 2026: hence "when_required". A path-style address works with every server.
    """
    from boto3.session import Session
    from botocore.config import Config

    # The stubs type the other services' clients as unknown; this overload is known.
    client = Session(botocore_session=_own_session()).client(  # pyright: ignore[reportUnknownMemberType]
        "s3",
        endpoint_url=endpoint,
        verify=ca_bundle() or True,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        region_name=REGION,
        config=Config(
            signature_version="s3v4",
            # Bodies are checked by the MD5 that the bucket answers (TLS guards the way there);
            # a signature over them would read each byte once more.
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=limits.connect_s,
            read_timeout=limits.read_s,
            retries={"mode": "standard", "total_max_attempts": limits.tries},
            max_pool_connections=limits.connections,
            tcp_keepalive=True,
            proxies=proxies_for(endpoint),
        ),
    )
    events: Any = client.meta.events  # the stubs do not know the emitter's methods
    events.register_last("before-parameter-build.s3", _follow_no_redirect)
    return client


def _follow_no_redirect(context: dict[str, Any], **_: object) -> None:
    """Keep botocore from asking for another region's address, which is for AWS.

    Asked through what redirects everything, as a hotel's login page, it never came back from it.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def _own_session() -> CoreSession:
    """Return a session that asks neither ~/.aws nor an AWS_* variable: they are of another tool.

    A stale AWS_PROFILE would else end each command, and AWS_ENDPOINT_URL, AWS_MAX_ATTEMPTS or a
    profile's settings change what each call does.
    """
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES as KNOWN
    from botocore.session import Session as CoreSession

    session = CoreSession()
    settings = session.get_component("config_store")
    for name, (_, _, usual, _) in KNOWN.items():
        settings.set_config_variable(name, usual)
    for name in ("config_file", "credentials_file"):
        settings.set_config_variable(name, os.devnull)
    for name in ("s3", "proxies_config"):
        settings.set_config_variable(name, None)
    return session


R2_HOST: Final = ".r2.cloudflarestorage.com"
"""What the host of each account's S3 address ends with."""


def endpoint_of(account_id: str, *, jurisdiction: str) -> str:
    """Return the S3 address of an account's buckets in that jurisdiction ("" is the default one).

    https://developers.cloudflare.com/r2/reference/data-location/#jurisdictional-restrictions
    """
    part = "" if jurisdiction in ("", "default") else f".{jurisdiction}"
    return f"https://{account_id}{part}{R2_HOST}"


def code_of(error: ClientError) -> str:
    """Return the error code of an answer, "" when it has none."""
    answer = cast("dict[str, Any]", error.response)
    return str(answer.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """Return the HTTP status of an answer, 0 when it has none."""
    answer = cast("dict[str, Any]", error.response)
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def skew_s(error: ClientError, *, now: datetime | None = None) -> float | None:
    """Return by how many seconds this machine's clock is ahead of the bucket's (negative: behind).

    Measured by the `Date` that the answer bears; None when it bears none.
    """
    answer = cast("dict[str, Any]", error.response)
    return seconds_ahead(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}), now=now)


def seconds_ahead(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Say the same by an answer's headers, whose names botocore writes in small letters."""
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return ((now or datetime.now(UTC)) - date).total_seconds()


def kind_of(error: ClientError) -> Kind:
    """Say what an error answer means: by its code, else by its status.

    An answer to HEAD has no body and so no code: there, the clock is told by the answer's `Date`.
    """
    code, status = code_of(error), status_of(error)
    bare = code in ("", str(status))
    if bare and status == 403 and abs(_signed_ahead_s(error)) > MOST_CLOCK_SKEW_S:
        return "clock"
    return _CODES.get(code) or _STATUSES.get(status, "later")


def why(error: ClientError | BotoCoreError | HTTPError) -> str:
    """Say in a few words why a call came to nothing; without an address, a key or a body."""
    from botocore.exceptions import ClientError

    if not isinstance(error, ClientError):
        return reason_of(error)
    code = code_of(error) or f"HTTP {status_of(error)}"
    if kind_of(error) in ("refused", "no bucket"):
        return f"{code}: {refusal_of(error)}"
    return clock_problem(error) or code


def clock_problem(error: ClientError) -> str:
    """Say by how much this machine's clock is off; "" when the answer is not about it."""
    if kind_of(error) != "clock":
        return ""
    return f"{refusal_of(error)}; set it, best by NTP, and try again"


def refusal_of(error: ClientError) -> str:
    """Say in words why it was refused, and so what is to be done, for the kinds that are refusals.

    The code decides, never the status alone: a 403 may be the token's, the account's, the clock's.
    """
    kind = kind_of(error)
    if kind == "clock":
        return f"this machine's clock is {skew_in_words(skew_s(error))}"
    if kind == "no bucket":
        return "check the bucket's name, its account and its jurisdiction"
    return _REFUSALS.get(code_of(error), _OTHER_REFUSAL)


def skew_in_words(ahead_s: float | None) -> str:
    """Say by how much a clock is off."""
    if ahead_s is None or abs(ahead_s) < 1:
        return "off, the answer does not tell by how much"
    minutes = abs(ahead_s) / 60
    much = f"{minutes:,.0f} min" if minutes >= 2 else f"{abs(ahead_s):.0f} s"
    return f"{much} {'ahead' if ahead_s > 0 else 'behind'}"


def _signed_ahead_s(error: ClientError) -> float:
    """Return by how much the time that the request was signed with is ahead."""
    answer = cast("dict[str, Any]", error.response)
    corrected_by = float(answer.get("ResponseMetadata", {}).get(CORRECTED_BY, 0.0))
    return (skew_s(error) or corrected_by) - corrected_by
