"""What the cloudflare stand-in sends, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.pulumi.plugins.cloudflare_http import RETRIES, CloudflareApi
from localcloud.pulumi.plugins.cloudflare_plugin import AccountToken, R2Bucket
from localcloud.pulumi.plugins.resource import Call, InputError, PluginError
from tests.unit.localcloud.pulumi.plugins.cloudflare_double import (
    ACCOUNT,
    CloudflareDouble,
    Refusal,
)

TOKEN = "cfat_PLANTEDOPERATOR"
CALL = Call("urn::a::thing")
BUCKET: dict[str, Any] = {"accountId": ACCOUNT, "name": "runs"}
RESOURCES = '{"com.cloudflare.edge.r2.bucket.b_default_runs":"*","a":"*"}'
POLICY = {"effect": "allow", "permissionGroups": [{"id": "2efd"}], "resources": RESOURCES}
WRITER: dict[str, Any] = {"accountId": ACCOUNT, "name": "writer", "policies": [POLICY]}


@pytest.fixture
def double() -> Iterator[CloudflareDouble]:
    with CloudflareDouble() as double:
        yield double


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def api(double: CloudflareDouble, waits: list[float]) -> CloudflareApi:
    environment = {"CLOUDFLARE_BASE_URL": double.url, "CLOUDFLARE_API_TOKEN": TOKEN}
    return CloudflareApi(environment=environment, sleep=waits.append)


def test_a_bucket_is_made_as_the_real_plugin_makes_it(
    api: CloudflareApi, double: CloudflareDouble
) -> None:
    id_, outputs = R2Bucket(api).create(CALL, {**BUCKET, "jurisdiction": "eu", "location": "weur"})
    sent = double.sent[0]
    assert (sent.method, sent.path) == ("POST", f"/accounts/{ACCOUNT}/r2/buckets")
    assert sent.body == {"name": "runs", "storageClass": "Standard", "locationHint": "weur"}
    assert sent.headers["cf-r2-jurisdiction"] == "eu"
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert id_ == "runs"
    assert outputs["location"] == "WEUR" and outputs["creationDate"].startswith("2026-01-02")


def test_a_change_of_storage_class_travels_as_a_header(
    api: CloudflareApi, double: CloudflareDouble
) -> None:
    bucket = R2Bucket(api)
    _, old = bucket.create(CALL, BUCKET)
    new = {**BUCKET, "storageClass": "InfrequentAccess"}
    assert bucket.update(CALL, "runs", old, new)["storageClass"] == "InfrequentAccess"
    sent = double.sent[-1]
    assert (sent.method, sent.body) == ("PATCH", None)
    assert sent.headers["cf-r2-storage-class"] == "InfrequentAccess"
    assert sent.headers["cf-r2-jurisdiction"] == "default"


def test_a_bucket_is_imported_by_account_name_and_jurisdiction(
    api: CloudflareApi, double: CloudflareDouble
) -> None:
    bucket = R2Bucket(api)
    bucket.create(CALL, {**BUCKET, "jurisdiction": "eu"})
    found = bucket.read(CALL, f"{ACCOUNT}/runs/eu", {})
    assert found is not None and found[0] == "runs" and found[1]["jurisdiction"] == "eu"
    assert bucket.read(CALL, f"{ACCOUNT}/runs/default", {}) is None
    with pytest.raises(PluginError, match="<account_id>/<bucket_name>/<jurisdiction>, not as runs"):
        bucket.read(CALL, "runs", {})


def test_a_token_is_sent_as_objects_and_kept_as_text(
    api: CloudflareApi, double: CloudflareDouble
) -> None:
    inputs = {
        **WRITER,
        "expiresOn": "2027-01-01T00:00:00Z",
        "condition": {"requestIp": {"ins": ["10.0.0.0/8"], "notIns": []}},
    }
    id_, outputs = AccountToken(api).create(CALL, inputs)
    body = double.sent[0].body
    assert body == {
        "name": "writer",
        "policies": [
            {
                "effect": "allow",
                "permission_groups": [{"id": "2efd"}],
                "resources": json.loads(RESOURCES),
            }
        ],
        "condition": {"request_ip": {"in": ["10.0.0.0/8"], "not_in": []}},
        "expires_on": "2027-01-01T00:00:00Z",
    }
    assert outputs["value"] == double.token_value and len(id_) == 32
    for key in ("policies", "condition", "expiresOn", "name"):
        assert outputs[key] == inputs[key], key


def test_reading_a_token_never_asks_for_its_value(
    api: CloudflareApi, double: CloudflareDouble
) -> None:
    token = AccountToken(api)
    id_, state = token.create(CALL, WRITER)
    found = token.read(CALL, id_, state)
    assert found is not None and "value" not in found[1]
    imported = token.read(CALL, f"{ACCOUNT}/{id_}", {})
    assert imported is not None and imported[0] == id_ and "value" not in imported[1]


def test_a_tokens_state_carries_the_mark_of_its_schema_wherever_it_comes_from(
    api: CloudflareApi,
) -> None:
    """Without it the official plugin cannot read the state; one of before stays without."""
    token, mark = AccountToken(api), '{"schema_version":"501"}'
    id_, state = token.create(CALL, WRITER)
    read, imported = token.read(CALL, id_, state), token.read(CALL, f"{ACCOUNT}/{id_}", {})
    assert read is not None and imported is not None
    changed = token.update(CALL, id_, state, {**WRITER, "name": "other"})
    assert {one["__meta"] for one in (state, read[1], imported[1], changed)} == {mark}
    older = token.read(CALL, id_, {key: state[key] for key in state.keys() - {"__meta"}})
    assert older is not None and "__meta" not in older[1]


@pytest.mark.parametrize("status", ["expired", "revoked (exposed)"])
def test_a_token_that_is_over_counts_as_gone(
    api: CloudflareApi, double: CloudflareDouble, status: str
) -> None:
    token = AccountToken(api)
    id_, state = token.create(CALL, WRITER)
    double.tokens[id_]["status"] = status
    assert token.read(CALL, id_, state) is None


def test_bad_policy_json_is_told_before_a_request(
    api: CloudflareApi, double: CloudflareDouble
) -> None:
    broken = {**WRITER, "policies": [{**POLICY, "resources": "{"}]}
    with pytest.raises(PluginError, match="resources is not JSON"):
        AccountToken(api).create(CALL, broken)
    assert double.sent == []


@pytest.mark.parametrize(
    ("refusal", "expected_waits"),
    [
        (Refusal(500, 10001, "internal"), [0.25]),
        (Refusal(429, 10058, "slow down", {"Retry-After-Ms": "1"}), [0.001]),
        (Refusal(409, 10008, "not empty", {"Retry-After": "3"}), [3.0]),
        (Refusal(503, 1, "busy", {"Retry-After": "9999"}), [0.25]),
        (Refusal(404, 10006, "soon", {"x-should-retry": "true"}), [0.25]),
    ],
)
def test_what_may_pass_is_asked_again(
    api: CloudflareApi,
    double: CloudflareDouble,
    waits: list[float],
    refusal: Refusal,
    expected_waits: list[float],
) -> None:
    double.refusals.append(refusal)
    assert R2Bucket(api).create(CALL, BUCKET)[0] == "runs"
    assert waits == expected_waits
    assert [sent.headers["x-stainless-retry-count"] for sent in double.sent] == ["0", "1"]


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(403, 9109, "Unauthorized to access requested resource"),
        Refusal(409, 10008, "The bucket is not empty", {"x-should-retry": "false"}),
    ],
)
def test_what_stands_is_told_at_once_without_the_token(
    api: CloudflareApi, double: CloudflareDouble, waits: list[float], refusal: Refusal
) -> None:
    double.refusals.append(refusal)
    with pytest.raises(PluginError, match=f"{refusal.code} {refusal.message}") as told:
        R2Bucket(api).delete(CALL, "runs", BUCKET)
    assert f"HTTP {refusal.status}" in str(told.value) and TOKEN not in str(told.value)
    assert waits == []


def test_a_refusal_that_is_no_absence_is_not_taken_for_one(
    api: CloudflareApi, double: CloudflareDouble
) -> None:
    double.refusals.append(Refusal(403, 9109, "Unauthorized"))
    with pytest.raises(PluginError, match="9109"):
        R2Bucket(api).read(CALL, "runs", BUCKET)


def test_nobody_there_says_how_to_start_it(waits: list[float]) -> None:
    environment = {"CLOUDFLARE_BASE_URL": "http://127.0.0.1:1/x", "CLOUDFLARE_API_TOKEN": TOKEN}
    api = CloudflareApi(environment=environment, sleep=waits.append)
    with pytest.raises(PluginError, match=r"nobody answers at http://127\.0\.0\.1:1") as told:
        R2Bucket(api).read(CALL, "runs", BUCKET)
    assert len(waits) == RETRIES and TOKEN not in str(told.value)


def test_without_a_token_nothing_is_sent(double: CloudflareDouble) -> None:
    api = CloudflareApi(environment={"CLOUDFLARE_BASE_URL": double.url})
    with pytest.raises(PluginError, match="Set CLOUDFLARE_API_TOKEN"):
        R2Bucket(api).create(CALL, BUCKET)
    assert double.sent == []
    environment = {"CLOUDFLARE_BASE_URL": double.url, "CLOUDFLARE_API_TOKEN": TOKEN}
    R2Bucket(CloudflareApi(environment=environment)).create(CALL, BUCKET)
    assert len(double.sent) > 0


def test_provider_config_wins_over_the_environment(double: CloudflareDouble) -> None:
    environment = {"CLOUDFLARE_BASE_URL": "http://127.0.0.1:1", "CLOUDFLARE_API_TOKEN": "other"}
    config = {"baseUrl": f"{double.url}/", "apiToken": TOKEN}
    R2Bucket(CloudflareApi(config, environment=environment)).create(CALL, BUCKET)
    assert double.sent[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("jurisdiction", "taken"), [("us", True), ("eu", True), (None, True), ("mars", False)]
)
def test_a_jurisdiction_is_refused_by_name_when_it_is_checked(
    api: CloudflareApi, jurisdiction: str | None, taken: bool
) -> None:
    inputs = {**BUCKET, **({"jurisdiction": jurisdiction} if jurisdiction else {})}
    if taken:
        assert R2Bucket(api).check(CALL, inputs) == inputs
        return
    with pytest.raises(InputError, match='must be one of: "default", "eu"') as refused:
        R2Bucket(api).check(CALL, inputs)
    assert refused.value.key == "jurisdiction"
