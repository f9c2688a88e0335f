"""The Cloudflare tokens of one run: their names, and that none outlives what it is for.

A token that no state knows (its creation was interrupted, or the state was lost) bears the run's
identity in its name, so it is found by that.
"""

from __future__ import annotations

from collections.abc import Callable

from components.ledger.page import Owner
from components.r2.cloudflare import Client, CloudflareError, Token

NAME_PREFIX = "trainstack-"

Say = Callable[[str], None]


def name_of(family: str, *, renew: int) -> str:
    """Return the name of a run's token, `family` being `<stack>-<run>-<identity>`.

    The number of renewals is part of it: the same number asked for again makes no other token.
    """
    return f"{NAME_PREFIX}{family}" + (f"-{renew}" if renew else "")


def of_family(client: Client, family: str) -> list[Token]:
    """Return the tokens of a run, those of earlier renewals too."""
    name = f"{NAME_PREFIX}{family}"
    listed = client.tokens(name_prefix=name)
    return [token for token in listed if token.name == name or token.name.startswith(f"{name}-")]


def revoke(client: Client | None, owner: Owner, *, identity: str, say: Say) -> None:
    """Revoke the tokens of an identity that is deleted.

    Raises CloudflareError when that cannot be done: the identity stays in the state, and the next
    `pulumi destroy` tries again. Without the operator's token nothing can be, which is said.
    """
    if client is None:
        say(f"{owner.run}: CLOUDFLARE_API_TOKEN is not set. {_left(owner, identity)}")
        return
    _revoke(client, owner, identity=identity, kept="", say=say)


def revoke_others(
    client: Client | None, owner: Owner, *, identity: str, kept: str, say: Say
) -> None:
    """Revoke an identity's tokens but the one that its machine holds; a failure is only said."""
    if client is None:
        return
    try:
        _revoke(client, owner, identity=identity, kept=kept, say=say)
    except CloudflareError as error:
        say(f"{owner.run}: {error} {_left(owner, identity)}")


def _revoke(client: Client, owner: Owner, *, identity: str, kept: str, say: Say) -> None:
    for token in of_family(client, _family(owner, identity)):
        if token.id != kept:
            client.revoke(token.id)
            say(f"{owner.run}: revoked the R2 token {token.name}")


def _left(owner: Owner, identity: str) -> str:
    name = name_of(_family(owner, identity), renew=0)
    return (
        f"R2 tokens of the name {name} may be left, valid until they expire: "
        f"python -m runs reap --stack {owner.stack}"
    )


def _family(owner: Owner, identity: str) -> str:
    return f"{owner.stack}-{owner.run}-{identity}"
