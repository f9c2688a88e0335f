"""The client of Cloudflare: a bucket is missing when it says so, a token good when it is active."""

from __future__ import annotations

from typing import Any

import pytest

from components.artifact_store import find_or_make_bucket
from components.r2 import cloudflare
from components.r2.cloudflare import CloudflareError, TokenRefusedError, UnclearError
from tests.unit.components.vendor_double import Vendor


@pytest.fixture
def operator(vendor: Vendor) -> cloudflare.Client:
    return cloudflare.Client(
        "planted-token", account_id="a" * 32, base_url=vendor.url, retry_for_s=0
    )


def envelope(result: Any = None, *, code: int = 0) -> dict[str, Any]:
    errors = [{"code": code, "message": "because"}] if code else []
    return {"success": not code, "errors": errors, "messages": [], "result": result}


def test_a_bucket_is_missing_only_when_cloudflare_says_so(
    operator: cloudflare.Client, vendor: Vendor
) -> None:
    vendor.will(404, envelope(code=10006))
    assert operator.find_bucket("b", jurisdiction="default") is None


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (404, envelope(code=7003)),
        (404, b"<html>"),
        (403, envelope(code=9109)),
        (500, envelope(code=10001)),
    ],
)
def test_every_other_failure_is_an_error_and_never_a_missing_bucket(
    operator: cloudflare.Client, vendor: Vendor, status: int, answer: Any
) -> None:
    vendor.will(status, answer)
    with pytest.raises(CloudflareError) as failed:
        operator.find_bucket("b", jurisdiction="default")
    assert "planted" not in str(failed.value)


def test_a_missing_bucket_is_made_and_one_made_meanwhile_is_as_good(
    operator: cloudflare.Client, vendor: Vendor
) -> None:
    vendor.will(404, envelope(code=10006))
    vendor.will(409, envelope(code=10004))
    vendor.will(200, envelope({"name": "b", "storage_class": "InfrequentAccess"}))
    found = find_or_make_bucket(operator, "b", jurisdiction="eu", dry_run=False)
    assert found
    assert found.storage_class == "InfrequentAccess"
    assert [call.split()[0] for call in vendor.calls] == ["GET", "POST", "GET"]


def test_a_preview_makes_nothing(operator: cloudflare.Client, vendor: Vendor) -> None:
    vendor.will(404, envelope(code=10006))
    assert find_or_make_bucket(operator, "b", jurisdiction="eu", dry_run=True) is None
    assert len(vendor.calls) == 1


def test_the_operators_access_is_the_tokens_id_and_the_hash_of_its_value(
    operator: cloudflare.Client, vendor: Vendor
) -> None:
    vendor.will(401, envelope(code=1000))
    vendor.will(200, envelope({"id": "f" * 32, "status": "active"}))
    access = operator.operator_access()
    assert access.access_key_id == "f" * 32
    assert access.secret_access_key == cloudflare.secret_access_key("planted-token")
    assert "planted" not in repr(access)
    assert vendor.calls[1] == "GET /user/tokens/verify"


@pytest.mark.parametrize("status", ["expired", "disabled", ""])
def test_a_token_that_is_not_active_is_refused_by_the_program_too(
    operator: cloudflare.Client, vendor: Vendor, status: str
) -> None:
    vendor.will(200, envelope({"id": "f" * 32, "status": status}))
    with pytest.raises(TokenRefusedError) as refused:
        operator.operator_access()
    assert "planted" not in str(refused.value)


def test_an_answer_that_does_not_say_whether_the_token_is_active_is_unclear(
    operator: cloudflare.Client, vendor: Vendor
) -> None:
    vendor.will(200, envelope({"id": "f" * 32}))
    with pytest.raises(UnclearError):
        operator.operator_access()


def test_without_an_account_only_the_users_own_token_is_looked_for(vendor: Vendor) -> None:
    vendor.will(200, envelope({"id": "f" * 32, "status": "active"}))
    operator = cloudflare.Client("planted-token", account_id="", base_url=vendor.url, retry_for_s=0)
    assert operator.token_id() == "f" * 32
    assert vendor.calls == ["GET /user/tokens/verify"]


@pytest.mark.parametrize(
    ("resources", "buckets"),
    [
        ({f"com.cloudflare.edge.r2.bucket.{'a' * 32}_default_my-runs": "*"}, ("my-runs",)),
        ({f"com.cloudflare.edge.r2.bucket.{'a' * 32}_eu_my-runs": "*"}, ("my-runs",)),
        (f'{{"com.cloudflare.edge.r2.bucket.{"a" * 32}_default_my-runs":"*"}}', ("my-runs",)),
        ({f"com.cloudflare.api.account.{'a' * 32}": "*"}, ()),
        (None, ()),
    ],
)
def test_a_token_tells_the_buckets_that_it_is_for(
    operator: cloudflare.Client, vendor: Vendor, resources: Any, buckets: tuple[str, ...]
) -> None:
    row = {"id": "t", "name": "trainstack-dev", "policies": [{"resources": resources}]}
    vendor.will(200, envelope([row, {"id": "u", "name": "another"}]))
    (token,) = operator.tokens(name_prefix="trainstack-")
    assert (token.id, token.buckets) == ("t", buckets)
