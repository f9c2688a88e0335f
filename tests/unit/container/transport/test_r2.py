"""What an S3 error answer means: one table, and the four places that read it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.preflight import check_bucket
from components.r2.cloudflare import S3Access
from components.r2.verdict_reader import BucketUnreachableError, VerdictReader
from container.storage.bucket import (
    AbsentError,
    BucketError,
    BucketRefusedError,
    BucketUnavailableError,
    ObjectChangedError,
    RunBucket,
)
from container.transport import r2
from container.transport.r2 import (
    MACHINE,
    PROGRAM,
    TERMINAL,
    endpoint_of,
    kind_of,
    make_client,
    skew_s,
)
from runs.errors import RunsError
from runs.source import bucket as runs_bucket


def answer(code: str, status: int, *, date: str = "") -> ClientError:
    headers = {"date": date} if date else {}
    metadata: Any = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "GetObject")


NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def dated(*, ahead_s: float, now: datetime = NOW) -> str:
    return format_datetime(now - timedelta(seconds=ahead_s), usegmt=True)


KINDS: list[tuple[str, int, r2.Kind]] = [
    ("NoSuchKey", 404, "absent"),
    ("NotFound", 404, "absent"),
    ("404", 404, "absent"),
    ("NoSuchUpload", 404, "absent"),
    ("NoSuchBucket", 404, "no bucket"),
    ("AccessDenied", 403, "refused"),
    ("Unauthorized", 401, "refused"),
    ("InvalidAccessKeyId", 403, "refused"),
    ("SignatureDoesNotMatch", 403, "refused"),
    ("ExpiredToken", 400, "refused"),
    ("403", 403, "refused"),
    ("SomethingNew", 401, "refused"),
    ("RequestTimeTooSkewed", 403, "clock"),
    ("PreconditionFailed", 412, "changed"),
    ("ConditionalRequestConflict", 409, "changed"),
    ("412", 412, "changed"),
    ("InvalidRange", 416, "too short"),
    ("416", 416, "too short"),
    ("InternalError", 500, "later"),
    ("SlowDown", 503, "later"),
    ("SomethingNew", 404, "later"),
    ("SomethingNew", 409, "later"),
    ("", 0, "later"),
]


@pytest.mark.parametrize(("code", "status", "kind"), KINDS)
def test_each_answer_has_one_meaning(code: str, status: int, kind: str) -> None:
    assert kind_of(answer(code, status)) == kind


@pytest.mark.parametrize("ahead_s", [0, 7, -7, 3600, -3600, 40 * 365 * 86400])
def test_an_answer_tells_by_how_much_this_clock_is_off(ahead_s: float) -> None:
    error = answer("RequestTimeTooSkewed", 403, date=dated(ahead_s=ahead_s))
    assert skew_s(error, now=NOW) == ahead_s


@pytest.mark.parametrize("date", ["", "yesterday", "Wed, 99 Foo 2026 12:00:00 GMT"])
def test_an_answer_without_a_date_tells_nothing_of_the_clock(date: str) -> None:
    assert skew_s(answer("RequestTimeTooSkewed", 403, date=date)) is None


@pytest.mark.parametrize(
    ("code", "ahead_s", "kind"),
    [
        ("403", 3600, "clock"),
        ("403", -3600, "clock"),
        ("", 3600, "clock"),
        ("403", 60, "refused"),
        ("403", None, "refused"),
        ("AccessDenied", 3600, "refused"),
        ("RequestTimeTooSkewed", 0, "clock"),
        ("RequestTimeTooSkewed", None, "clock"),
    ],
)
def test_a_refusal_without_a_code_is_the_clocks_when_the_date_says_so(
    code: str, ahead_s: float | None, kind: str
) -> None:
    """An answer to HEAD bears no code; where there is one, it decides."""
    date = "" if ahead_s is None else dated(ahead_s=ahead_s, now=datetime.now(UTC))
    assert kind_of(answer(code, 403, date=date)) == kind


class Answering:
    """A client whose every call gets the same error answer."""

    def __init__(self, error: ClientError) -> None:
        self._error = error

    def __getattr__(self, _: str) -> Any:
        def call(**__: Any) -> None:
            raise self._error

        return call


@pytest.mark.parametrize(("code", "status", "kind"), KINDS)
def test_the_four_places_agree_on_what_is_absent_and_what_is_refused(
    code: str, status: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four sets of codes had drifted: one place took `NotFound` for an outage."""
    client: Any = Answering(answer(code, status))
    container = RunBucket(client, name="b", prefix="p")
    expected: dict[str, type[BucketError]] = {
        "refused": BucketRefusedError,
        "clock": BucketRefusedError,
        "no bucket": BucketRefusedError,
        "changed": ObjectChangedError,
    }
    terminal = runs_bucket.ReadOnlyBucket(client, name="b", endpoint="https://x")
    reader = VerdictReader(
        S3Access(access_key_id="a", secret_access_key="s"), endpoint="https://x", bucket="b"
    )
    monkeypatch.setattr(reader, "client", lambda: client)
    if kind == "absent":
        assert (container.get("k"), terminal.read("k"), reader.find_object("k")) == (None,) * 3
        with pytest.raises(AbsentError):
            container.delete("k")
    else:
        with pytest.raises(expected.get(kind, BucketUnavailableError)):
            container.get("k")
        with pytest.raises(RunsError):
            terminal.read("k")
        with pytest.raises(BucketUnreachableError):
            reader.find_object("k")
    monkeypatch.setattr("components.preflight.s3_client", lambda *_, **__: client)
    env = {
        "R2_BUCKET": "b",
        "RUN_PREFIX": "p",
        "R2_ENDPOINT": "https://x",
        "R2_ACCESS_KEY_ID": "a",
        "R2_SECRET_ACCESS_KEY": "s",
    }
    told = check_bucket(env, wait_s=0).text
    assert ("refused the run's own credentials" in told) == (kind in ("refused", "no bucket"))


@pytest.mark.parametrize("limits", [MACHINE, PROGRAM, TERMINAL])
def test_every_client_has_what_r2_needs(limits: r2.Limits) -> None:
    client = make_client(
        endpoint="https://x", access_key_id="a", secret_access_key="s", limits=limits
    )
    config: Any = client.meta.config
    assert config.request_checksum_calculation == "when_required"
    assert config.response_checksum_validation == "when_required"
    assert config.s3["addressing_style"] == "path"
    assert (config.connect_timeout, config.read_timeout) == (limits.connect_s, limits.read_s)
    assert client.meta.region_name == "auto"


@pytest.mark.parametrize(
    ("jurisdiction", "host"),
    [("default", "acc"), ("", "acc"), ("eu", "acc.eu"), ("fedramp", "acc.fedramp")],
)
def test_the_address_follows_account_and_jurisdiction(jurisdiction: str, host: str) -> None:
    wanted = f"https://{host}.r2.cloudflarestorage.com"
    assert endpoint_of("acc", jurisdiction=jurisdiction) == wanted


def test_the_operators_program_starts_without_boto3() -> None:
    code = (
        "import sys, components.ionet.provider, components.preflight; print('boto3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
