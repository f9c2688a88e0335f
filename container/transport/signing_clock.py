"""Signs with the bucket's time where this machine's is wrong; learns it from the answers.

As the SDKs of other languages do; botocore does not: https://github.com/boto/boto3/issues/1252
Hooks of one client only: nobody else's signatures and no clock of the process are touched.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import botocore
from botocore.auth import SIGV4_TIMESTAMP, S3SigV4Auth
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from container.transport.r2 import CORRECTED_BY, REGION, kind_of, seconds_ahead

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# What an answer takes on its way, and the rest of a second, is no skew.
WORTH_TELLING_S: Final = 60.0


def sign_with_the_buckets_time(
    client: S3Client,
    *,
    access_key_id: str,
    secret_access_key: str,
    on_skew: Callable[[float], None],
) -> None:
    """Have a client sign with the bucket's time where this machine's is refused.

    `on_skew` is told, from any thread, by how many seconds this machine's clock is ahead whenever
    that changes; also where it is too little to be refused.
    """
    clock = _SigningClock(Credentials(access_key_id, secret_access_key), on_skew)
    events: Any = client.meta.events  # the stubs do not know the emitter's methods
    events.register_first("choose-signer.s3", clock.choose)
    events.register_last("before-sign.s3", clock.sign)
    events.register_first("needs-retry.s3", clock.learn)


class _SigningClock:
    """By how much this machine's clock is ahead of the bucket's, as one client learns it."""

    def __init__(self, credentials: Credentials, on_skew: Callable[[float], None]) -> None:
        self._credentials = credentials
        self._on_skew = on_skew
        self._told_s = 0.0
        self._signed_ahead_s = 0.0  # changes only after a refusal for it

    def choose(self, context: dict[str, Any], **_: object) -> object:
        """Take the signing out of botocore's hands where its time is wrong."""
        context[CORRECTED_BY] = self._signed_ahead_s  # of this try: others may learn meanwhile
        return botocore.UNSIGNED if self._signed_ahead_s else None

    def sign(self, request: Any, **_: object) -> None:
        ahead_s = request.context[CORRECTED_BY]
        if ahead_s:
            auth = _Auth(self._credentials, "s3", REGION)
            auth.ahead_s = ahead_s
            auth.add_auth(request)

    def learn(
        self, response: Any, operation: Any, request_dict: dict[str, Any], **_: object
    ) -> float | None:
        """Return 0 to have the same request sent again at once, None to leave it to others."""
        if response is None:
            return None
        parsed: Any = response[1]
        metadata = parsed.get("ResponseMetadata", {})
        signed_ahead_s = request_dict["context"].get(CORRECTED_BY, 0.0)
        metadata[CORRECTED_BY] = signed_ahead_s
        ahead_s = seconds_ahead(metadata.get("HTTPHeaders", {}))
        if ahead_s is None:
            return None
        if abs(ahead_s - self._told_s) > WORTH_TELLING_S:
            self._told_s = ahead_s
            self._on_skew(ahead_s)
        refused = "Error" in parsed and kind_of(ClientError(parsed, operation.name)) == "clock"
        if not refused or abs(ahead_s - signed_ahead_s) <= WORTH_TELLING_S:
            return None
        self._signed_ahead_s = ahead_s
        return 0.0


class _Auth(S3SigV4Auth):
    """botocore's own signature, at another time than this machine's."""

    ahead_s = 0.0

    def _modify_request_before_signing(self, request: Any) -> None:
        right = datetime.now(UTC) - timedelta(seconds=self.ahead_s)
        request.context["timestamp"] = right.strftime(SIGV4_TIMESTAMP)
        botocores: Any = super()  # the stubs do not know this step of it
        botocores._modify_request_before_signing(request)
