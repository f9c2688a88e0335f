"""How a run's verdict is read by the operator; the rest: provider/test_process.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.r2.verdict_reader import BucketUnreachableError, RunPlace, find_verdict
from tests.provider.fake_r2 import ACCOUNT, BUCKET, FakeR2

PREFIX = "dev-main-1a2b3c4d-deadbeef"


@pytest.fixture
def r2() -> Iterator[FakeR2]:
    found = FakeR2()
    yield found
    found.stop()


def test_without_a_token_it_is_not_known_and_with_the_one_that_is_told_it_is(
    r2: FakeR2, monkeypatch: pytest.MonkeyPatch
) -> None:
    r2.put_verdict(PREFIX, "failed")
    place = RunPlace(account_id=ACCOUNT, endpoint=r2.url, bucket=BUCKET, prefix=PREFIX)
    monkeypatch.setenv("CLOUDFLARE_BASE_URL", r2.cloudflare_url)
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN", raising=False)
    with pytest.raises(BucketUnreachableError, match="CLOUDFLARE_API_TOKEN is not set"):
        find_verdict(place, run_access=None)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "planted-operator-token")
    verdict = find_verdict(place, run_access=None)
    assert verdict
    assert verdict.outcome == "failed"
