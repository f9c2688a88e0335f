"""An operator whose clock is wrong: S3 takes nothing that it signed, and every reader says so.

https://github.com/boto/boto3/issues/1252, https://github.com/aws/aws-cli/issues/8662
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.errors import TrainstackError
from components.ledger.ledger import BucketLedger
from components.ledger.page import Owner
from components.preflight import check_bucket
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import VerdictReader
from container.transport.r2 import Limits, make_client
from runs.errors import RunsError
from runs.source.bucket import ReadOnlyBucket

SKEWED = b"<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>"
ABSENT = b"<Error><Code>NoSuchKey</Code><Message>not there</Message></Error>"
ACCESS = S3Access(access_key_id="key", secret_access_key="secret")
ONCE = Limits(connect_s=2, read_s=5, tries=1, connections=1)


@pytest.fixture
def late_bucket() -> Iterator[str]:
    """A bucket whose clock is 21 minutes behind ours, which is therefore ahead of it."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            right = self.path.startswith("/set-right")
            body = ABSENT if right else SKEWED
            self.send_response(404 if right else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = answer  # noqa: N815

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) - timedelta(minutes=21), usegmt=True)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def verdict(url: str) -> object:
    return VerdictReader(ACCESS, endpoint=url, bucket="a-bucket").find_verdict("a-run")


def ledger(url: str) -> object:
    owner = Owner(project="trainstack", stack="dev", run="main")
    return BucketLedger([lambda: ACCESS], endpoint=url, bucket="a-bucket").read(owner)


def terminal(url: str) -> object:
    client = make_client(endpoint=url, access_key_id="key", secret_access_key="s", limits=ONCE)
    return ReadOnlyBucket(client, name="a-bucket", endpoint=url).read("a-run/verdict.json")


def preflight(url: str) -> object:
    env = {"R2_BUCKET": "a-bucket", "RUN_PREFIX": "a-run", "R2_ENDPOINT": url}
    found = check_bucket({**env, "R2_ACCESS_KEY_ID": "key", "R2_SECRET_ACCESS_KEY": "secret"})
    assert found.outcome == "refused", "before anything is rented"
    raise TrainstackError(found.text)


@pytest.mark.parametrize("reader", [verdict, ledger, terminal, preflight])
def test_whose_clock_is_off_by_how_much_is_told_at_once(
    reader: Callable[[str], object], late_bucket: str
) -> None:
    with pytest.raises((TrainstackError, RunsError)) as told:
        reader(late_bucket)
    assert "this machine's clock is 21 min ahead; set it" in str(told.value)


@pytest.mark.parametrize("reader", [verdict, terminal])
def test_once_the_clock_is_right_the_same_is_answered(
    reader: Callable[[str], object], late_bucket: str
) -> None:
    assert reader(f"{late_bucket}/set-right") is None
