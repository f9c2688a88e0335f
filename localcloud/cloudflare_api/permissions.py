"""What a token may do: permission groups, the resources they apply to, and what follows for S3."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.cloudflare_api.errors import CloudflareError, bad_request

BUCKET_SCOPE = "com.cloudflare.edge.r2.bucket"
ACCOUNT_SCOPE = "com.cloudflare.api.account"
JURISDICTIONS = ("default", "eu", "fedramp", "us")


@dataclass(frozen=True)
class PermissionGroup:
    """A named right; the same id in every account."""

    id: str
    name: str
    scope: str
    s3_actions: frozenset[str] = frozenset()

    def described(self) -> dict[str, Any]:
        """Return it as the list of permission groups shows it."""
        return {"id": self.id, "name": self.name, "scopes": [self.scope]}


_READ = frozenset({"Read", "List"})
_WRITE = frozenset({"Read", "List", "Write"})
_ADMIN = frozenset({"Read", "List", "Write", "Admin"})  # makes and deletes buckets too
ITEM_READ = PermissionGroup(
    "6a018a9f2fc74eb6b293b0c548f38b39", "Workers R2 Storage Bucket Item Read", BUCKET_SCOPE, _READ
)
ITEM_WRITE = PermissionGroup(
    "2efd5506f9c8494dacb1fa10a3e7d5b6", "Workers R2 Storage Bucket Item Write", BUCKET_SCOPE, _WRITE
)
R2_READ = PermissionGroup(
    "b4992e1108244f5d8bfbd5744320c2e1", "Workers R2 Storage Read", ACCOUNT_SCOPE, _READ
)
R2_WRITE = PermissionGroup(
    "bf7481a1826f439697cb59a20b22293e", "Workers R2 Storage Write", ACCOUNT_SCOPE, _ADMIN
)
CATALOG_WRITE = PermissionGroup(
    "d229766a2f7f4d299f20eaa8c9b1fde9", "Workers R2 Data Catalog Write", ACCOUNT_SCOPE
)
TOKENS_WRITE = PermissionGroup(
    "5bc3f8b21c554832afc660159ab75fa4", "Account API Tokens Write", ACCOUNT_SCOPE
)
TOKENS_READ = PermissionGroup(
    "eb56a6953c034b9d97dd838155666f06", "Account API Tokens Read", ACCOUNT_SCOPE
)
GROUPS = {
    group.id: group
    for group in (
        ITEM_READ,
        ITEM_WRITE,
        R2_READ,
        R2_WRITE,
        CATALOG_WRITE,
        TOKENS_WRITE,
        TOKENS_READ,
    )
}


@dataclass(frozen=True)
class S3Grant:
    """S3 actions on one bucket (of one jurisdiction), or on every bucket when it names none."""

    actions: frozenset[str]
    bucket: str | None = None
    jurisdiction: str | None = None


def checked_policies(sent: Any, *, account_id: str) -> list[dict[str, Any]]:
    """Return a token's policies as they are stored and answered; raises CloudflareError.

    Order is kept, of policies, of groups and of resource keys: clients compare with what they sent.
    """
    if not isinstance(sent, list) or not sent:
        raise bad_request("policies must be a list with at least one policy")
    return [_checked_policy(policy, account_id=account_id) for policy in sent]


def allowed_groups(policies: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the ids of the account-wide groups that the policies allow and none denies."""
    allowed: set[str] = set()
    denied: set[str] = set()
    for policy in policies:
        into = allowed if policy["effect"] == "allow" else denied
        into |= {group["id"] for group in policy["permission_groups"]}
    return frozenset(i for i in allowed - denied if GROUPS[i].scope == ACCOUNT_SCOPE)


IMPLIED = {
    R2_WRITE.id: {R2_READ.id, ITEM_READ.id, ITEM_WRITE.id},
    R2_READ.id: {ITEM_READ.id},
    ITEM_WRITE.id: {ITEM_READ.id},
    TOKENS_WRITE.id: {TOKENS_READ.id},
}
"""What a wider right counts as, when it is asked what a maker holds; not documented, made up."""


def not_held(maker: Iterable[Mapping[str, Any]], given: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the groups that a token is to be given and its maker does not hold."""
    named = {group["id"] for policy in maker for group in policy["permission_groups"]}
    held = named.union(*(IMPLIED.get(one, set()) for one in named))
    return [
        group["name"]
        for policy in given
        if policy["effect"] == "allow"
        for group in policy["permission_groups"]
        if group["id"] not in held
    ]


def s3_grants(policies: Iterable[Mapping[str, Any]], *, account_id: str) -> list[S3Grant]:
    """Return what the policies allow over S3."""
    grants: list[S3Grant] = []
    for policy in policies:
        if policy["effect"] != "allow":
            continue
        groups = [GROUPS[group["id"]] for group in policy["permission_groups"]]
        actions = frozenset[str]().union(*(group.s3_actions for group in groups))
        if not actions:
            continue
        for key, value in policy["resources"].items():
            named = _bucket_key(account_id).match(key)
            if named:
                grants.append(S3Grant(actions, named["bucket"], named["jurisdiction"]))
            elif isinstance(value, dict) or groups[0].scope == ACCOUNT_SCOPE:
                grants.append(S3Grant(actions))
    return grants


def _checked_policy(policy: Any, *, account_id: str) -> dict[str, Any]:
    if not isinstance(policy, dict):
        raise bad_request("a policy must be an object")
    if "id" in policy:
        raise bad_request("policy id may not be set")
    if policy.get("effect") not in ("allow", "deny"):
        raise bad_request("effect must be allow or deny")
    groups = _checked_groups(policy.get("permission_groups"))
    resources = policy.get("resources")
    if not isinstance(resources, dict) or not resources:
        raise bad_request("resources must be an object with at least one resource")
    scopes = {group.scope for group in groups}
    if len(scopes) > 1:
        raise bad_request("permission groups of one policy must have the same scope")
    for key, value in resources.items():
        _check_resource(key, value, account_id=account_id, scope=groups[0].scope)
    return {
        "effect": policy["effect"],
        "permission_groups": [{"id": group.id, "name": group.name} for group in groups],
        "resources": resources,
    }


def _checked_groups(sent: Any) -> list[PermissionGroup]:
    if not isinstance(sent, list) or not sent:
        raise bad_request("permission_groups must be a list with at least one group")
    groups: list[PermissionGroup] = []
    for group in sent:
        group_id = group.get("id") if isinstance(group, dict) else None
        if group_id not in GROUPS:
            raise bad_request(f"permission group {group_id!r} does not exist")
        groups.append(GROUPS[group_id])
    return groups


def _check_resource(key: str, value: Any, *, account_id: str, scope: str) -> None:
    whole_account = key == f"{ACCOUNT_SCOPE}.{account_id}"
    if scope == ACCOUNT_SCOPE and whole_account and value == "*":
        return
    if scope == BUCKET_SCOPE:
        if whole_account and value == {f"{BUCKET_SCOPE}.*": "*"}:
            return
        named = _bucket_key(account_id).match(key)
        if named and value == "*":
            return
    # A bare `com.cloudflare.edge.r2.bucket.*` lands here, as do keys of another account.
    raise CloudflareError(403, 9109, "Unauthorized to access requested resource")


def _bucket_key(account_id: str) -> re.Pattern[str]:
    jurisdictions = "|".join(JURISDICTIONS)
    return re.compile(
        rf"^{re.escape(BUCKET_SCOPE)}\.{account_id}_(?P<jurisdiction>{jurisdictions})"
        r"_(?P<bucket>[a-z0-9][a-z0-9-]{1,61}[a-z0-9])\Z"
    )
