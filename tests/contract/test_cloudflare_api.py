"""The stand-in for Cloudflare answers its official client, and its tokens bind a real S3 server."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import cloudflare
import psutil
import pytest
import requests

from components.ionet import run_tokens
from components.r2.cloudflare import Client
from components.r2.permissions import bucket_resources
from localcloud.cloudflare_api.permissions import (
    ACCOUNT_SCOPE,
    BUCKET_SCOPE,
    ITEM_READ,
    ITEM_WRITE,
    R2_READ,
    R2_WRITE,
    TOKENS_READ,
    TOKENS_WRITE,
    PermissionGroup,
)
from localcloud.place import ACCOUNT_ID
from localcloud.processes import Supervised
from tests.contract.cloudflare_fixtures import LocalAccount, of, refusal, running


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAccount]:
    with running(tmp_path_factory.mktemp("cloudflare")) as account:
        yield account


@pytest.fixture
def bucket(account: LocalAccount) -> str:
    name = f"b-{os.urandom(5).hex()}"
    account.make_bucket(name)
    return name


def test_a_bucket_answers_with_every_field_that_the_provider_needs(account: LocalAccount) -> None:
    made = account.make_bucket("all-fields", location_hint="weur", storage_class="InfrequentAccess")
    found = account.api.r2.buckets.get("all-fields", account_id=account.id)
    assert found == made
    assert (found.location, found.storage_class, found.jurisdiction) == (
        "WEUR",
        "InfrequentAccess",
        "default",
    )
    assert found.creation_date is not None and found.creation_date.endswith("Z")


def test_a_bucket_of_another_jurisdiction_is_not_found(account: LocalAccount) -> None:
    account.make_bucket("in-europe", jurisdiction="eu")
    with pytest.raises(cloudflare.NotFoundError) as caught:
        account.api.r2.buckets.get("in-europe", account_id=account.id)
    assert _codes(caught.value) == [10006]
    found = account.api.r2.buckets.get("in-europe", account_id=account.id, extra_headers=of("eu"))
    assert found.jurisdiction == "eu"


def test_a_second_bucket_of_a_name_conflicts(account: LocalAccount, bucket: str) -> None:
    with pytest.raises(cloudflare.ConflictError) as caught:
        account.make_bucket(bucket)
    assert _codes(caught.value) == [10004]


@pytest.mark.parametrize("name", ["ab", "Upper", "-dash", "dash-", "under_score", "a" * 64])
def test_a_bad_bucket_name_is_refused(account: LocalAccount, name: str) -> None:
    with pytest.raises(cloudflare.BadRequestError) as caught:
        account.make_bucket(name)
    assert _codes(caught.value) == [10005]


def test_a_bucket_with_objects_is_kept_and_the_client_told_not_to_retry(
    account: LocalAccount, bucket: str
) -> None:
    account.operator_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    with pytest.raises(cloudflare.ConflictError) as caught:
        account.api.r2.buckets.delete(bucket, account_id=account.id)
    assert _codes(caught.value) == [10008]
    assert caught.value.response.headers["x-should-retry"] == "false"
    account.operator_s3.delete_object(Bucket=bucket, Key="k")
    account.api.r2.buckets.delete(bucket, account_id=account.id)
    with pytest.raises(cloudflare.NotFoundError):
        account.api.r2.buckets.get(bucket, account_id=account.id)


def test_a_bucket_made_over_s3_is_listed_and_can_be_adopted(account: LocalAccount) -> None:
    account.operator_s3.create_bucket(Bucket="made-over-s3")
    listed = account.api.r2.buckets.list(account_id=account.id, name_contains="made-over")
    assert [one.name for one in listed.buckets or []] == ["made-over-s3"]


def test_a_change_of_storage_class_is_stored(account: LocalAccount, bucket: str) -> None:
    account.api.r2.buckets.edit(bucket, account_id=account.id, storage_class="InfrequentAccess")
    found = account.api.r2.buckets.get(bucket, account_id=account.id)
    assert found.storage_class == "InfrequentAccess"


def test_a_token_of_one_bucket_reads_and_writes_it_and_nothing_else(
    account: LocalAccount, bucket: str
) -> None:
    account.make_bucket("of-somebody-else")
    account.operator_s3.put_object(Bucket="of-somebody-else", Key="secret", Body=b"x")
    s3 = account.s3_with(account.make_token(bucket))
    s3.put_object(Bucket=bucket, Key="mine", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="mine")["Body"].read() == b"x"
    s3.delete_object(Bucket=bucket, Key="mine")
    other = {"Bucket": "of-somebody-else"}
    assert refusal(s3.get_object, **other, Key="secret") == "AccessDenied"
    assert refusal(s3.put_object, **other, Key="k", Body=b"") == "AccessDenied"
    assert refusal(s3.list_objects_v2, **other) == "AccessDenied"
    assert refusal(s3.create_bucket, Bucket="one-more") == "AccessDenied"
    assert refusal(s3.delete_bucket, Bucket=bucket) == "AccessDenied"


def test_a_token_that_only_reads_cannot_write(account: LocalAccount, bucket: str) -> None:
    account.operator_s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    policy = {**account.policy(bucket), "permission_groups": [{"id": ITEM_READ.id}]}
    s3 = account.s3_with(
        account.api.accounts.tokens.create(account_id=account.id, name="r", policies=[policy])
    )
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"


def test_an_unknown_key_and_a_wrong_secret_are_refused(account: LocalAccount, bucket: str) -> None:
    token = account.make_token(bucket)
    wrong = account.s3_with(token.model_copy(update={"value": "cfat_" + "0" * 48}))
    unknown = account.s3_with(token.model_copy(update={"id": "0" * 32}))
    assert refusal(wrong.list_objects_v2, Bucket=bucket) == "SignatureDoesNotMatch"
    assert refusal(unknown.list_objects_v2, Bucket=bucket) == "InvalidAccessKeyId"


def test_a_token_for_another_jurisdiction_does_not_open_the_bucket(account: LocalAccount) -> None:
    account.make_bucket("euro-only", jurisdiction="eu")
    s3 = account.s3_with(account.make_token("euro-only"))
    assert refusal(s3.list_objects_v2, Bucket="euro-only") == "InvalidAccessKeyId"


def test_deleting_a_token_removes_its_identity_from_the_s3_server(
    account: LocalAccount, bucket: str
) -> None:
    token = account.make_token(bucket)
    s3 = account.s3_with(token)
    assert token.id in _access_keys(account)
    deleted = account.api.accounts.tokens.delete(token.id, account_id=account.id)
    assert deleted is not None and deleted.id == token.id
    assert token.id not in _access_keys(account)
    assert refusal(s3.list_objects_v2, Bucket=bucket) == "InvalidAccessKeyId"
    with pytest.raises(cloudflare.NotFoundError):
        account.api.accounts.tokens.get(token.id, account_id=account.id)


def test_an_expired_token_is_refused_by_s3_and_by_the_api(
    account: LocalAccount, bucket: str
) -> None:
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    token = account.make_token(bucket, expires_on=_rfc3339(soon))
    s3 = account.s3_with(token)
    _until(lambda: refusal(s3.list_objects_v2, Bucket=bucket) == "InvalidAccessKeyId")
    assert datetime.now(UTC) >= soon
    assert account.api.accounts.tokens.get(token.id, account_id=account.id).status == "expired"
    with pytest.raises(cloudflare.PermissionDeniedError):
        account.api_with(token.value).r2.buckets.list(account_id=account.id)


def test_changing_a_token_keeps_its_value_and_moves_its_rights(
    account: LocalAccount, bucket: str
) -> None:
    account.make_bucket("moved-to")
    token = account.make_token(bucket)
    s3 = account.s3_with(token)
    changed = account.api.accounts.tokens.update(
        token.id, account_id=account.id, name="renamed", policies=[account.policy("moved-to")]
    )
    assert changed.name == "renamed" and not hasattr(changed, "value")
    assert refusal(s3.list_objects_v2, Bucket="moved-to") == "allowed"
    assert refusal(s3.list_objects_v2, Bucket=bucket) == "AccessDenied"


def test_a_disabled_token_stops_working_and_an_enabled_one_works_again(
    account: LocalAccount, bucket: str
) -> None:
    token = account.make_token(bucket)
    s3 = account.s3_with(token)
    for status, expected in (("disabled", "InvalidAccessKeyId"), ("active", "allowed")):
        account.api.accounts.tokens.update(
            token.id,
            account_id=account.id,
            name="a run",
            policies=[account.policy(bucket)],
            status=status,
        )
        assert refusal(s3.list_objects_v2, Bucket=bucket) == expected


def test_a_rolled_token_has_a_new_value_and_the_old_one_is_dead(
    account: LocalAccount, bucket: str
) -> None:
    token = account.make_token(bucket)
    value = account.api.accounts.tokens.value.update(token.id, account_id=account.id)
    assert refusal(account.s3_with(token).list_objects_v2, Bucket=bucket) == (
        "SignatureDoesNotMatch"
    )
    rolled = account.s3_with(token.model_copy(update={"value": value}))
    assert refusal(rolled.list_objects_v2, Bucket=bucket) == "allowed"


def test_policies_come_back_in_the_order_and_form_they_were_sent(
    account: LocalAccount, bucket: str
) -> None:
    account.make_bucket("zz-other")
    policies = [
        {**account.policy("zz-other", bucket), "permission_groups": [{"id": ITEM_WRITE.id}]},
        {
            **account.policy(bucket),
            "permission_groups": [{"id": ITEM_WRITE.id}, {"id": ITEM_READ.id}],
        },
    ]
    made = _post(account, "tokens", {"name": "two", "policies": policies}).json()["result"]
    listed = requests.get(
        f"{account.place.cloudflare_url}/accounts/{account.id}/tokens/{made['id']}",
        headers=_bearer(account.place.operator_token),
        timeout=5,
    )
    shown = [
        {**one, "permission_groups": [{"id": g["id"]} for g in one["permission_groups"]]}
        for one in listed.json()["result"]["policies"]
    ]
    assert shown == policies
    assert list(shown[0]["resources"]) == list(policies[0]["resources"])
    # The provider keeps the bytes of `resources` as answered, so the answer must be compact.
    assert json.dumps(policies[0]["resources"], separators=(",", ":")) in listed.text


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": None}, 400, 1001),
        ({"policies": []}, 400, 1001),
        ({"expires_on": "2020-01-01T00:00:00Z"}, 400, 1001),
        ({"expires_on": "tomorrow"}, 400, 1001),
    ],
)
def test_a_bad_token_is_refused(
    account: LocalAccount, bucket: str, change: dict[str, Any], status: int, code: int
) -> None:
    body = {"name": "x", "policies": [account.policy(bucket)], **change}
    reply = _post(account, "tokens", body)
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"id": "0" * 32}, 400, 1001),
        ({"permission_groups": [{"id": "0" * 32}]}, 400, 1001),
        ({"permission_groups": [{"id": ITEM_WRITE.id}, {"id": R2_WRITE.id}]}, 400, 1001),
        ({"resources": {f"{BUCKET_SCOPE}.*": "*"}}, 403, 9109),
        ({"resources": {f"{BUCKET_SCOPE}.{'f' * 32}_default_x-y": "*"}}, 403, 9109),
    ],
)
def test_a_bad_policy_is_refused(
    account: LocalAccount, bucket: str, change: dict[str, Any], status: int, code: int
) -> None:
    body = {"name": "x", "policies": [{**account.policy(bucket), **change}]}
    reply = _post(account, "tokens", body)
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (status, code)
    assert reply.json()["success"] is False and reply.json()["result"] is None


def test_the_operators_token_is_verified_and_opens_every_bucket(
    account: LocalAccount, bucket: str
) -> None:
    verified = account.api.accounts.tokens.verify(account_id=account.id)
    assert verified is not None
    assert (verified.id, verified.status) == (account.place.operator_token_id, "active")
    assert refusal(account.operator_s3.list_objects_v2, Bucket=bucket) == "allowed"


def test_a_runs_token_can_verify_itself_and_do_nothing_else_over_the_api(
    account: LocalAccount, bucket: str
) -> None:
    token = account.make_token(bucket)
    api = account.api_with(token.value)
    verified = api.accounts.tokens.verify(account_id=account.id)
    assert verified is not None and verified.id == token.id
    with pytest.raises(cloudflare.PermissionDeniedError) as of_buckets:
        api.r2.buckets.list(account_id=account.id)
    with pytest.raises(cloudflare.PermissionDeniedError) as of_tokens:
        api.accounts.tokens.list(account_id=account.id)
    assert (_codes(of_buckets.value), _codes(of_tokens.value)) == ([10000], [9109])


def test_a_token_with_account_rights_reaches_what_they_name(account: LocalAccount) -> None:
    made = account.api.accounts.tokens.create(
        account_id=account.id,
        name="of a colleague",
        policies=[
            {
                "effect": "allow",
                "permission_groups": [{"id": R2_WRITE.id}, {"id": TOKENS_READ.id}],
                "resources": {f"{ACCOUNT_SCOPE}.{account.id}": "*"},
            }
        ],
    )
    api = account.api_with(str(made.value))
    api.r2.buckets.create(account_id=account.id, name="of-a-colleague")
    assert refusal(account.s3_with(made).list_objects_v2, Bucket="of-a-colleague") == "allowed"
    assert made.id in [one.id for one in api.accounts.tokens.list(account_id=account.id)]
    with pytest.raises(cloudflare.PermissionDeniedError):
        api.accounts.tokens.delete(str(made.id), account_id=account.id)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 403, 9106),
        ({"Authorization": "Bearer short"}, 400, 6003),
        ({"Authorization": "Basic abc"}, 400, 6003),
        ({"Authorization": f"Bearer cfat_{'x' * 48}"}, 403, 9109),
    ],
)
def test_bad_credentials_are_refused_as_cloudflare_refuses_them(
    account: LocalAccount, headers: dict[str, str], status: int, code: int
) -> None:
    url = f"{account.place.cloudflare_url}/accounts/{account.id}/r2/buckets"
    reply = requests.get(url, headers=headers, timeout=5)
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (status, code)


def test_an_unknown_account_and_an_unknown_path_cannot_be_routed(account: LocalAccount) -> None:
    with pytest.raises(cloudflare.NotFoundError) as caught:
        account.api.r2.buckets.list(account_id="f" * 32)
    assert _codes(caught.value) == [7003]
    reply = requests.get(f"{account.place.cloudflare_url}/zones", timeout=5)
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (404, 7003)


def test_permission_groups_are_found_by_name(account: LocalAccount) -> None:
    found = account.api.accounts.tokens.permission_groups.list(
        account_id=account.id, name=ITEM_WRITE.name
    )
    assert [(one.id, one.scopes) for one in found] == [(ITEM_WRITE.id, [BUCKET_SCOPE])]


def test_tokens_survive_a_kill_of_both_servers(account: LocalAccount, bucket: str) -> None:
    from localcloud.cloudflare_api.service import cloudflare_service
    from localcloud.object_store.seaweedfs import s3_service

    s3 = account.s3_with(account.make_token(bucket))
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    supervised = Supervised(account.place.run_folder, account.place.log_folder)
    for service in (s3_service(account.place), cloudflare_service(account.place)):
        process = supervised.process(service.name)
        assert process is not None
        process.kill()
        psutil.wait_procs([process], timeout=10)
        assert supervised.start(service)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
    account.api.r2.buckets.get(bucket, account_id=account.id)


def test_no_token_value_is_stored(account: LocalAccount, bucket: str) -> None:
    value = account.make_token(bucket).value.encode()
    stored = account.place.directory.glob("cloudflare.sqlite3*")
    assert not [path for path in stored if value in path.read_bytes()]
    assert value not in (account.place.log_folder / "cloudflare.log").read_bytes()


def _codes(error: Any) -> list[int]:
    return [one.code for one in error.errors]


def _access_keys(account: LocalAccount) -> set[str]:
    return {one.access_key for one in account.identities().values()}


def _post(account: LocalAccount, path: str, body: Any) -> requests.Response:
    return requests.post(
        f"{account.place.cloudflare_url}/accounts/{account.id}/{path}",
        json=body,
        headers=_bearer(account.place.operator_token),
        timeout=10,
    )


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _rfc3339(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _until(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.05)


WHOLE = {f"{ACCOUNT_SCOPE}.{ACCOUNT_ID}": "*"}


@pytest.mark.parametrize(
    ("held", "outcome", "lacks"),
    [
        ((TOKENS_WRITE, R2_WRITE), "made", ()),
        ((TOKENS_WRITE,), "refused", ("Workers R2 Storage Bucket Item Write",)),
        ((TOKENS_READ, R2_WRITE), "refused", ("Account API Tokens Write",)),
        ((R2_WRITE,), "refused", ("Account API Tokens Write",)),
        ((R2_READ, TOKENS_WRITE), "refused", ("Workers R2 Storage Bucket Item Write",)),
    ],
)
def test_a_token_is_given_only_what_its_maker_holds_and_the_trial_names_what_is_lacking(
    account: LocalAccount,
    bucket: str,
    held: tuple[PermissionGroup, ...],
    outcome: str,
    lacks: tuple[str, ...],
) -> None:
    """A user's token without the right failed after the image was built.

    https://github.com/jenkins-infra/helpdesk/issues/4601
    """
    policy = {
        "effect": "allow",
        "permission_groups": [{"id": one.id} for one in held],
        "resources": WHOLE,
    }
    maker = account.api.accounts.tokens.create(
        account_id=account.id, name="maker", policies=[policy]
    )
    client = Client(
        maker.value, account_id=account.id, base_url=account.place.cloudflare_url, retry_for_s=0
    )
    resources = bucket_resources(account.id, jurisdiction="default", bucket=bucket)
    trial = run_tokens.try_out(client, resources=resources, now=datetime.now(UTC))
    assert (trial.outcome, trial.lacks, trial.left) == (outcome, lacks, "")
    listed = account.api.accounts.tokens.list(account_id=account.id)
    assert not [token.name for token in listed if "doctor" in (token.name or "")]


def test_the_operator_of_the_local_cloud_may_make_the_token_of_a_run(
    account: LocalAccount, bucket: str
) -> None:
    client = Client(
        account.place.operator_token, account_id=account.id, base_url=account.place.cloudflare_url
    )
    resources = bucket_resources(account.id, jurisdiction="default", bucket=bucket)
    trial = run_tokens.try_out(client, resources=resources, now=datetime.now(UTC))
    assert trial == run_tokens.Trial(outcome="made")
