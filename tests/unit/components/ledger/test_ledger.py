"""The ledger in a bucket: a write lands on what was read before it, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from components.ledger.ledger import BucketLedger, LedgerError
from components.ledger.page import Page
from components.r2.cloudflare import CloudflareError, S3Access
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.unit.components.ledger.test_page import OWNER, entry

ACCESS = S3Access(access_key_id="a", secret_access_key="planted-secret")


@pytest.fixture
def r2() -> Iterator[FakeR2]:
    found = FakeR2()
    yield found
    found.stop()


@pytest.fixture
def ledger(r2: FakeR2) -> BucketLedger:
    return BucketLedger(
        [lambda: ACCESS], endpoint=r2.url, bucket=BUCKET, read_for_s=2, write_for_s=3
    )


def put(page: Page, _now: datetime) -> Page:
    return page.put(entry())


def test_a_run_without_a_page_has_an_empty_one(ledger: BucketLedger) -> None:
    assert ledger.read(OWNER).page == Page(owner=OWNER)
    assert ledger.pages() == []


def test_a_page_lies_outside_of_all_run_prefixes_and_bears_its_parts(
    ledger: BucketLedger, r2: FakeR2
) -> None:
    ledger.edit(OWNER, put)
    assert list(r2.objects) == [f"/{BUCKET}/ledger/trainstack/dev/main.json"]
    assert ledger.read(OWNER).page.entries == (entry(),)


def test_nobody_writes_over_what_somebody_else_wrote_in_between(
    ledger: BucketLedger, r2: FakeR2
) -> None:
    seen: list[int] = []

    def slow(page: Page, now: datetime) -> Page:
        seen.append(len(page.entries))
        if len(seen) == 1:
            ledger.edit(OWNER, lambda page, _now: page.put(entry("of another")))
        return page.put(entry("mine"))

    ledger.edit(OWNER, slow)
    assert seen == [0, 1]
    assert {one.intent for one in ledger.read(OWNER).page.entries} == {"mine", "of another"}


def test_a_lost_reply_to_a_write_is_read_back(ledger: BucketLedger, r2: FakeR2) -> None:
    r2.lose_replies_to = "ledger/"
    ledger.edit(OWNER, put)
    assert ledger.read(OWNER).page.entries == (entry(),)


def test_a_change_that_changes_nothing_writes_nothing(ledger: BucketLedger, r2: FakeR2) -> None:
    ledger.edit(OWNER, put)
    r2.calls.clear()
    ledger.edit(OWNER, put)
    assert [call.split()[0] for call in r2.calls] == ["GET"]


def test_a_refused_access_is_followed_by_the_next(r2: FakeR2) -> None:
    def none() -> S3Access:
        raise CloudflareError("no token")

    both = BucketLedger([none, lambda: ACCESS], endpoint=r2.url, bucket=BUCKET)
    assert both.read(OWNER).page == Page(owner=OWNER)


def test_a_bucket_that_does_not_answer_is_never_an_empty_page(
    ledger: BucketLedger, r2: FakeR2
) -> None:
    for code in ("AccessDenied", "InternalError"):
        r2.refuse = code
        with pytest.raises(LedgerError, match=f"could not be used for 2 s .{code}.") as failed:
            ledger.read(OWNER)
        assert "planted" not in str(failed.value)
    with pytest.raises(LedgerError):
        ledger.edit(OWNER, put)


def test_a_page_of_a_newer_release_is_left_as_it_is(ledger: BucketLedger, r2: FakeR2) -> None:
    key = f"/{BUCKET}/ledger/trainstack/dev/main.json"
    r2.objects[key] = b'{"schema": 99}'
    with pytest.raises(LedgerError, match="schema 99, this program reads up to 1"):
        ledger.edit(OWNER, put)
    assert r2.objects[key] == b'{"schema": 99}'
