"""The S3 server's identities follow the tokens: what they allow, and from when to when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.cloudflare_api.errors import CloudflareError
from localcloud.cloudflare_api.identities import PREFIX, Identity, IdentityKeeper
from localcloud.cloudflare_api.permissions import (
    ACCOUNT_SCOPE,
    BUCKET_SCOPE,
    ITEM_READ,
    ITEM_WRITE,
    R2_READ,
    R2_WRITE,
    TOKENS_WRITE,
    allowed_groups,
    checked_policies,
)
from localcloud.cloudflare_api.store import Bucket, Store, Token

ACCOUNT = "a" * 32
NOON = datetime(2025, 10, 13, 12, tzinfo=UTC)


class FakeServer:
    """Remembers identities, and counts how often it was changed."""

    def __init__(self) -> None:
        self.identities: dict[str, Identity] = {}
        self.changes = 0

    def read(self) -> dict[str, Identity]:
        return dict(self.identities)

    def apply(self, *, put: Mapping[str, Identity], delete: Mapping[str, Identity]) -> None:
        self.changes += 1
        for name in delete:
            del self.identities[name]
        self.identities |= put


class World:
    """A store, a fake S3 server and a clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOON
        self.store = Store(":memory:")
        self.server = FakeServer()
        self.keeper = IdentityKeeper(
            self.store, self.server, account_id=ACCOUNT, clock=lambda: self.now
        )

    def actions(self) -> set[str]:
        """Return what the S3 server lets the one token do now."""
        self.keeper.reconcile()
        identity = self.server.identities.get(f"{PREFIX}t")
        return set(identity.actions) if identity else set()


@pytest.fixture
def world() -> World:
    return World()


def test_an_item_token_may_read_write_and_list_its_bucket(world: World) -> None:
    world.store.put_token(_token(_of_bucket("b-1")))
    assert world.actions() == {"Read:b-1", "Write:b-1", "List:b-1"}


def test_a_read_token_may_not_write(world: World) -> None:
    world.store.put_token(_token(_of_bucket("b-1", group=ITEM_READ.id)))
    assert world.actions() == {"Read:b-1", "List:b-1"}


def test_an_account_wide_token_is_bound_to_no_bucket(world: World) -> None:
    world.store.put_token(_token(_of_account(R2_READ.id)))
    assert world.actions() == {"Read", "List"}


def test_every_bucket_of_the_account_can_be_named_at_once(world: World) -> None:
    policy = {
        **_of_bucket("x-x"),
        "resources": {f"{ACCOUNT_SCOPE}.{ACCOUNT}": {f"{BUCKET_SCOPE}.*": "*"}},
    }
    world.store.put_token(_token(policy))
    assert world.actions() == {"Read", "List", "Write"}


def test_a_token_that_only_makes_tokens_has_no_identity(world: World) -> None:
    world.store.put_token(_token(_of_account(TOKENS_WRITE.id)))
    assert world.actions() == set()


def test_a_token_works_from_its_beginning_until_its_end(world: World) -> None:
    hour = timedelta(hours=1)
    world.store.put_token(
        replace(_token(_of_bucket("b-1")), not_before=NOON + hour, expires_on=NOON + 2 * hour)
    )
    seen: list[bool] = []
    for minutes in (0, 59, 60, 119, 120, 600):
        world.now = NOON + timedelta(minutes=minutes)
        seen.append(bool(world.actions()))
    assert seen == [False, False, True, True, False, False]


def test_a_disabled_token_has_no_identity(world: World) -> None:
    world.store.put_token(replace(_token(_of_bucket("b-1")), status="disabled"))
    assert world.actions() == set()


def test_a_bucket_of_another_jurisdiction_is_not_opened(world: World) -> None:
    world.store.put_token(_token(_of_bucket("b-1")))
    assert world.actions()
    world.store.put_bucket(Bucket("b-1", NOON, jurisdiction="eu"))
    assert world.actions() == set()


def test_nothing_is_changed_when_all_is_as_it_should_be(world: World) -> None:
    world.store.put_token(_token(_of_bucket("b-1")))
    world.keeper.reconcile()
    world.keeper.reconcile()
    assert world.server.changes == 1


def test_a_server_that_forgot_gets_its_identities_back(world: World) -> None:
    world.store.put_token(_token(_of_bucket("b-1")))
    world.keeper.reconcile()
    world.server.identities.clear()
    assert world.actions()


def test_an_identity_that_no_token_stands_for_is_removed(world: World) -> None:
    world.server.identities[PREFIX + "stray"] = Identity("stray", "x", frozenset({"Admin"}))
    world.keeper.reconcile()
    assert world.server.identities == {}


def test_a_denied_group_is_not_allowed() -> None:
    policies = [
        _of_account(R2_WRITE.id, R2_READ.id),
        {**_of_account(R2_WRITE.id), "effect": "deny"},
    ]
    assert allowed_groups(policies) == {R2_READ.id}


def test_a_bucket_group_gives_no_account_right() -> None:
    assert allowed_groups([_of_bucket("b-1")]) == frozenset()


@pytest.mark.parametrize(
    "policy",
    [
        "no object",
        {},
        {"effect": "perhaps"},
        {"resources": {}},
        {"resources": {"com.cloudflare.api.account.zone.x": "*"}},
        {"permission_groups": []},
        {"permission_groups": [{"id": R2_WRITE.id}]},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(policy: Any) -> None:
    whole = {**_of_bucket("b-1"), **policy} if isinstance(policy, dict) and policy else policy
    with pytest.raises(CloudflareError):
        checked_policies([whole], account_id=ACCOUNT)


def _token(policy: dict[str, Any]) -> Token:
    return Token(
        id="t",
        value_sha256="0" * 64,
        name="a token",
        policies=[policy],
        issued_on=NOON,
        modified_on=NOON,
    )


def _of_bucket(name: str, group: str = ITEM_WRITE.id) -> dict[str, Any]:
    return {
        "effect": "allow",
        "permission_groups": [{"id": group}],
        "resources": {f"{BUCKET_SCOPE}.{ACCOUNT}_default_{name}": "*"},
    }


def _of_account(*groups: str) -> dict[str, Any]:
    return {
        "effect": "allow",
        "permission_groups": [{"id": group} for group in groups],
        "resources": {f"{ACCOUNT_SCOPE}.{ACCOUNT}": "*"},
    }
