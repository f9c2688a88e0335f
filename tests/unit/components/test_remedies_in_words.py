"""What the program tells in words, as "try again" or "check the network", is done and helps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from components.errors import TrainstackError
from components.ionet import offers
from components.ionet.client import Client as IonetClient
from components.ionet.models import Place
from components.ledger.ledger import BucketLedger, LedgerError
from components.ledger.page import Page
from components.preflight import check_bucket, check_image
from components.r2 import cloudflare
from components.r2.cloudflare import CloudflareError, S3Access
from components.r2.verdict_reader import BucketUnreachableError, VerdictReader
from tests.provider.fake_r2 import ACCOUNT, BUCKET, FakeR2
from tests.unit.components.header_double import HeaderDouble
from tests.unit.components.ionet.test_offers import network, wish
from tests.unit.components.ledger.test_page import OWNER
from tests.unit.components.vendor_double import Vendor

ACCESS = S3Access(access_key_id="a", secret_access_key="planted-secret")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    found = Vendor()
    yield found
    found.stop()


@pytest.fixture
def r2() -> Iterator[FakeR2]:
    found = FakeR2()
    yield found
    found.stop()


def ionet(vendor: Vendor, *, url: str = "") -> object:
    return IonetClient("a-key", base_url=url or vendor.url, retry_for_s=0).hardware()


def cloudflares(vendor: Vendor, *, url: str = "") -> object:
    url = url or vendor.url
    client = cloudflare.Client("a-key", account_id=ACCOUNT, base_url=url, retry_for_s=0)
    return client.find_bucket("b", jurisdiction="default")


GOOD: dict[Any, Any] = {
    ionet: {"data": {"hardware": []}, "status": "succeeded"},
    cloudflares: {"success": True, "errors": [], "result": {"name": "b"}},
}


@pytest.mark.parametrize("ask", [ionet, cloudflares])
def test_a_vendor_that_could_not_be_asked_is_asked_again(ask: Any, vendor: Vendor) -> None:
    with pytest.raises(TrainstackError, match="Check the network"):
        ask(vendor, url=NOBODY)
    vendor.will(503, {})
    vendor.will(200, GOOD[ask])
    with pytest.raises(TrainstackError, match="Try again"):
        ask(vendor)
    ask(vendor)


def test_a_token_with_the_rights_that_are_named_is_taken(vendor: Vendor) -> None:
    vendor.will(403, {"success": False, "errors": [{"code": 9109, "message": "no"}]})
    vendor.will(200, GOOD[cloudflares])
    with pytest.raises(CloudflareError, match="Workers R2 Storage Write and Account API Tokens"):
        cloudflares(vendor)
    cloudflares(vendor)


def test_a_name_that_is_taken_elsewhere_gives_way_to_another(vendor: Vendor) -> None:
    vendor.will(409, {"success": False, "errors": [{"code": 10004}]})
    vendor.will(404, {"success": False, "errors": [{"code": 10006}]})
    vendor.will(200, {"success": True, "result": {"name": "another"}})
    client = cloudflare.Client("a-key", account_id=ACCOUNT, base_url=vendor.url, retry_for_s=0)
    with pytest.raises(CloudflareError, match="Choose another trainstack:bucket"):
        client.make_bucket("taken", jurisdiction="eu")
    assert client.make_bucket("another", jurisdiction="eu").name == "another"


def test_a_bucket_that_was_not_reached_passes_the_preflight_once_it_is(r2: FakeR2) -> None:
    env = {
        "R2_BUCKET": BUCKET,
        "RUN_PREFIX": "a-run",
        "R2_ACCESS_KEY_ID": "a",
        "R2_SECRET_ACCESS_KEY": "planted-secret",
    }
    away = check_bucket({**env, "R2_ENDPOINT": NOBODY}, wait_s=0)
    assert "Check the network" in away.text
    assert check_bucket({**env, "R2_ENDPOINT": r2.url}).outcome == "passed"


def test_an_image_that_is_pushed_passes_the_preflight() -> None:
    registry = HeaderDouble()
    try:
        server = registry.url.removeprefix("http://")
        env = {"IMAGE": f"{server}/me/image@sha256:{'0' * 64}"}
        refused = check_image(env)
        assert "Check trainstack:imageRepository" in refused.text
        registry.status = 200
        assert check_image(env).outcome == "passed"
    finally:
        registry.stop()


def test_a_page_of_a_newer_release_is_read_by_the_release_that_wrote_it(r2: FakeR2) -> None:
    ledger = BucketLedger([lambda: ACCESS], endpoint=r2.url, bucket=BUCKET)
    key = f"/{BUCKET}/{OWNER.key}"
    r2.objects[key] = b'{"schema": 99}'
    with pytest.raises(LedgerError, match="Use the version of this project that wrote it"):
        ledger.read(OWNER)
    r2.objects[key] = Page(owner=OWNER).to_json()  # as this release writes it
    assert ledger.read(OWNER).page == Page(owner=OWNER)


def test_a_verdict_is_read_by_the_release_that_wrote_it_and_with_a_key_that_may(r2: FakeR2) -> None:
    reader = VerdictReader(ACCESS, endpoint=r2.url, bucket=BUCKET)
    r2.objects[f"/{BUCKET}/a-run/verdict.json"] = b'{"schema": 99}'
    with pytest.raises(BucketUnreachableError, match="Use the version of this project"):
        reader.find_verdict("a-run")
    r2.put_verdict("a-run", "succeeded")
    r2.refuse = "AccessDenied"
    with pytest.raises(BucketUnreachableError, match="Check CLOUDFLARE_API_TOKEN and the network"):
        reader.find_verdict("a-run")
    r2.refuse = ""
    found = reader.find_verdict("a-run")
    assert found is not None
    assert found.outcome == "succeeded"


def test_where_there_is_no_room_wider_locations_have_some() -> None:
    place = Place(location_id=3, iso2="FI", available_replicas=2)
    narrow = wish(locations=("US",))
    assert offers.offer_at(network(), wish=narrow, places=[place]) is None
    assert "widen trainstack:locations" in str(offers.no_place([network()], narrow))
    wider = offers.offer_at(network(), wish=wish(locations=("US", "FI")), places=[place])
    assert wider is not None
    assert wider.country == "FI"
