"""The check before a machine is rented: three outcomes, and what each says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.preflight import check_bucket, check_image, main
from tests.provider.fake_r2 import ACCOUNT, BUCKET, FakeR2

FAMILY = "dev-main-1a2b3c4d"


@pytest.fixture
def r2() -> Iterator[FakeR2]:
    found = FakeR2()
    yield found
    found.stop()


@pytest.fixture
def env(r2: FakeR2, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "planted-operator-token")
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", r2.cloudflare_url)
    return {
        "R2_ENDPOINT": r2.url,
        "R2_BUCKET": BUCKET,
        "R2_ACCESS_KEY_ID": "planted-access-key",
        "R2_SECRET_ACCESS_KEY": "planted-secret-key",
        "RUN_FAMILY": FAMILY,
        "RUN_PREFIX": f"{FAMILY}-deadbeef",
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
    }


class Waiting:
    """A clock that moves by waiting; `meanwhile` happens at the first wait."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.meanwhile = lambda: None

    def sleep(self, seconds: float) -> None:
        self.meanwhile()
        self.time_s += seconds

    def now(self) -> float:
        return self.time_s


def test_an_object_is_written_read_and_deleted_with_the_runs_credentials(
    env: dict[str, str], r2: FakeR2
) -> None:
    found = check_bucket(env)
    assert found.outcome == "passed"
    assert [call.split()[0] for call in r2.calls] == ["PUT", "GET", "DELETE"]
    assert r2.objects == {}
    assert f"/{BUCKET}/{FAMILY}-deadbeef/preflight-" in r2.calls[0]


def test_a_token_that_is_not_known_everywhere_yet_is_waited_for(
    env: dict[str, str], r2: FakeR2
) -> None:
    clock = Waiting()
    r2.refuse = "Unauthorized"
    clock.meanwhile = lambda: setattr(r2, "refuse", "")
    found = check_bucket(env, sleep=clock.sleep, now=clock.now)
    assert found.outcome == "passed"
    assert "after 2 s" in found.text


def test_refused_credentials_end_the_update_after_the_wait(env: dict[str, str], r2: FakeR2) -> None:
    clock = Waiting()
    r2.refuse = "AccessDenied"
    found = check_bucket(env, sleep=clock.sleep, now=clock.now)
    assert found.outcome == "refused"
    assert clock.time_s == 90
    assert "refused the run's own credentials for 90 s (AccessDenied)" in found.text
    assert "Nothing was rented" in found.text
    assert "planted" not in found.text


def test_an_unreachable_bucket_ends_the_update(env: dict[str, str], r2: FakeR2) -> None:
    clock = Waiting()
    found = check_bucket(
        {**env, "R2_ENDPOINT": "http://127.0.0.1:9"}, wait_s=0, sleep=clock.sleep, now=clock.now
    )
    assert found.outcome == "refused"
    assert "EndpointConnectionError" in found.text


def test_expired_credentials_of_a_run_that_has_its_verdict_block_nothing(
    env: dict[str, str], r2: FakeR2, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished run's token expires; the next update must still be able to say "no change"."""
    r2.put_verdict(f"{FAMILY}-0ld0ld00", "succeeded")
    monkeypatch.setattr("components.preflight._round_trip", _expired)
    found = check_bucket(env, wait_s=0)
    assert found.outcome == "unknown"
    assert "has its verdict" in found.text


def test_expired_credentials_of_a_run_without_a_verdict_are_refused(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.preflight._round_trip", _expired)
    found = check_bucket(env, wait_s=0)
    assert found.outcome == "refused"
    assert "raise trainstack:rerun" in found.text


def test_an_image_that_cannot_be_asked_for_is_unknown_and_blocks_nothing() -> None:
    digest = "sha256:" + "0" * 64
    assert check_image({"IMAGE": f"127.0.0.1:9/a/b@{digest}"}).outcome == "unknown"


def test_the_command_fails_only_when_something_is_refused(
    env: dict[str, str], r2: FakeR2, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(env) == 0
    said = capsys.readouterr()
    assert "preflight: passed: bucket" in said.out
    assert "planted" not in said.out + said.err


def _expired(_env: object, *, key: str) -> None:
    from botocore.exceptions import ClientError

    raise ClientError({"Error": {"Code": "ExpiredToken"}}, "PutObject")
