"""The Cloudflare tokens of one run: their names, and that none outlives what it is for.

A token that no state knows (its creation was interrupted, or the state was lost) bears the run's
identity in its name, so it is found by that.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from components.ledger.page import Owner
from components.r2 import permissions
from components.r2.cloudflare import Client, CloudflareError, Token, UnclearError

NAME_PREFIX = "trainstack-"
_NAME = re.compile(rf"{NAME_PREFIX}.+-(?P<identity>[0-9a-f]{{8}})(?:-\d+)?")

TRIAL_LIFE = timedelta(minutes=1)

Say = Callable[[str], None]


def name_of(family: str, *, renew: int) -> str:
    """Return the name of a run's token, `family` being `<stack>-<run>-<identity>`.

    The number of renewals is part of it: the same number asked for again makes no other token.
    """
    return f"{NAME_PREFIX}{family}" + (f"-{renew}" if renew else "")


def identity_of(name: str) -> str:
    """Return the identity that a run's token is for, "" when the name is of no such token."""
    match = _NAME.fullmatch(name)
    return match["identity"] if match else ""


def of_family(client: Client, family: str) -> list[Token]:
    """Return the tokens of a run, those of earlier renewals too."""
    listed = client.tokens(name_prefix=f"{NAME_PREFIX}{family}")
    return [token for token in listed if _bears(token, family)]


def revoke(
    client: Client | None, owner: Owner, *, identity: str, ended: Collection[str], say: Say
) -> None:
    """Revoke the tokens of an identity that is deleted, and of those that `ended` before.

    Raises CloudflareError when that cannot be done: the identity stays in the state, and the next
    `pulumi destroy` tries again. Without the operator's token nothing can be, which is said.
    """
    if client is None:
        say(f"{owner.run}: CLOUDFLARE_API_TOKEN is not set. {_left(owner, identity)}")
        return
    _revoke(client, owner, identities={identity, *ended}, kept=(), say=say)


def revoke_others(
    client: Client | None,
    owner: Owner,
    *,
    identity: str,
    kept: Collection[str],
    say: Say,
) -> None:
    """Revoke an identity's tokens but those of these IDs; a failure is only said."""
    if client is None:
        return
    try:
        _revoke(client, owner, identities={identity}, kept=kept, say=say)
    except CloudflareError as error:
        say(f"{owner.run}: {error} {_left(owner, identity)}")


def live(client: Client | None, owner: Owner, *, identity: str) -> frozenset[str]:
    """Return the IDs of an identity's tokens that Cloudflare lists; raises CloudflareError."""
    if client is None:
        return frozenset()
    return frozenset(token.id for token in of_family(client, owner.family(identity)))


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Whether a run's token can be made; `left` names one that was made and not revoked."""

    outcome: Literal["made", "refused", "unknown"]
    why: str = ""
    lacks: tuple[str, ...] = ()  # permissions of the operator's token, where that is known
    is_a_users: bool = False  # the operator's token belongs to a user, not to the account
    left: str = ""


def try_out(client: Client, *, resources: str, now: datetime) -> Trial:
    """Make a token as a run gets it, which lives for a minute, and revoke it.

    It is named as a run's, so that `runs reap` knows it should it be left.
    """
    name = name_of(f"doctor-{secrets.token_hex(4)}", renew=0)
    policy = {
        "effect": "allow",
        "permission_groups": [{"id": permissions.BUCKET_ITEM_WRITE}],
        "resources": json.loads(resources),
    }
    try:
        made = client.make_token(name, policy=policy, expires_on=now + TRIAL_LIFE)
    except UnclearError as error:
        return Trial(outcome="unknown", why=str(error), left=_left_of(client, name))
    except CloudflareError as error:
        return _refused(client, str(error).partition(" Check ")[0])
    try:
        client.revoke(made)
    except CloudflareError:
        return Trial(outcome="made", left=name)
    return Trial(outcome="made")


def _refused(client: Client, why: str) -> Trial:
    try:
        held = client.permissions_of(client.token_id())
    except UnclearError:
        return Trial(outcome="refused", why=why)
    except CloudflareError:  # who may make tokens may read them
        return Trial(outcome="refused", why=why, lacks=(permissions.TOKENS_WRITE_NAME,))
    if held is None:
        return Trial(outcome="refused", why=why, is_a_users=True)
    return Trial(outcome="refused", why=why, lacks=permissions.lacking(held))


def _left_of(client: Client, name: str) -> str:
    """Revoke what came of a request without an answer; return the name where that is not known."""
    try:
        for token in client.tokens(name_prefix=name):
            client.revoke(token.id)
    except CloudflareError:
        return name
    return ""


def _revoke(
    client: Client, owner: Owner, *, identities: set[str], kept: Collection[str], say: Say
) -> None:
    for token in client.tokens(name_prefix=f"{NAME_PREFIX}{owner.stack}-{owner.run}-"):
        ours = any(_bears(token, owner.family(one)) for one in identities)
        if ours and token.id not in kept:
            client.revoke(token.id)
            say(f"{owner.run}: revoked the R2 token {token.name}")


def _bears(token: Token, family: str) -> bool:
    name = f"{NAME_PREFIX}{family}"
    return token.name == name or token.name.startswith(f"{name}-")


def _left(owner: Owner, identity: str) -> str:
    name = name_of(owner.family(identity), renew=0)
    return (
        f"R2 tokens of the name {name} may be left, valid until they expire: "
        f"python -m runs reap --stack {owner.stack}"
    )
