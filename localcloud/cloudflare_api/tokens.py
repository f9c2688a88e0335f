"""Account tokens: made, read, changed, rolled, deleted; always in step with S3's identities."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from localcloud.cloudflare_api import errors
from localcloud.cloudflare_api.identities import IdentityKeeper
from localcloud.cloudflare_api.permissions import checked_policies, not_held
from localcloud.cloudflare_api.store import Store, Token
from localcloud.place import new_cloudflare_token

MAX_NAME_CHARS = 120


class Tokens:
    """The tokens of one account. A change is answered when the S3 server knows it."""

    def __init__(
        self,
        store: Store,
        keeper: IdentityKeeper,
        *,
        account_id: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._keeper = keeper
        self._account_id = account_id
        self._clock = clock
        self._lock = threading.Lock()

    def all(self) -> list[Token]:
        return self._store.tokens()

    def get(self, token_id: str) -> Token:
        token = self._store.token(token_id)
        if token is None:
            raise errors.token_not_found()
        return token

    def create(self, body: Any, *, maker: Token) -> tuple[Token, str]:
        """Make a token; return it with its value, which is never shown again.

        It can only be given what its maker holds.
        """
        value = new_cloudflare_token()
        now = self._now()
        token = self._checked(
            body,
            Token(
                id=secrets.token_hex(16),
                value_sha256=sha256(value.encode()).hexdigest(),
                name="",
                policies=[],
                issued_on=now,
                modified_on=now,
            ),
            maker=maker,
        )
        with self._lock:
            self._store.put_token(token)
            self._keeper.reconcile()
        return token, value

    def update(self, token_id: str, body: Any, *, maker: Token) -> Token:
        """Replace everything but id and value."""
        with self._lock:
            token = self._checked(body, self.get(token_id), maker=maker)
            self._store.put_token(token)
            self._keeper.reconcile()
        return token

    def roll(self, token_id: str) -> str:
        """Give the token a new value; the old one stops working."""
        value = new_cloudflare_token()
        with self._lock:
            rolled = replace(
                self.get(token_id),
                value_sha256=sha256(value.encode()).hexdigest(),
                modified_on=self._now(),
            )
            self._store.put_token(rolled)
            self._keeper.reconcile()
        return value

    def delete(self, token_id: str) -> None:
        with self._lock:
            if not self._store.delete_token(token_id):
                raise errors.token_not_found()
            self._keeper.reconcile()

    def _checked(self, body: Any, before: Token, *, maker: Token) -> Token:
        if not isinstance(body, dict):
            raise errors.bad_request("the body must be a JSON object")
        name = body.get("name")
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARS:
            raise errors.bad_request(f"name must have 1 to {MAX_NAME_CHARS} characters")
        status = body.get("status", "active")
        if status not in ("active", "disabled"):
            raise errors.bad_request("status must be active or disabled")
        condition = body.get("condition")
        if condition is not None and not isinstance(condition, dict):
            raise errors.bad_request("condition must be an object")
        expires_on = _time("expires_on", body.get("expires_on"))
        not_before = _time("not_before", body.get("not_before"))
        unchanged = expires_on == before.expires_on
        if expires_on is not None and expires_on <= self._now() and not unchanged:
            raise errors.bad_request("expires_on must be in the future")
        if expires_on and not_before and not_before >= expires_on:
            raise errors.bad_request("not_before must be before expires_on")
        policies = checked_policies(body.get("policies"), account_id=self._account_id)
        unheld = not_held(maker.policies, policies)
        if unheld:
            raise errors.not_held(unheld)
        return replace(
            before,
            name=name,
            policies=policies,
            status=status,
            condition=condition,
            expires_on=expires_on,
            not_before=not_before,
            modified_on=self._now(),
        )

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)


def described(token: Token, *, now: datetime) -> dict[str, Any]:
    """Return a token as Cloudflare's answers show it, without its value."""
    shown: dict[str, Any] = {
        "id": token.id,
        "name": token.name,
        "status": token.status_at(now),
        "issued_on": _shown(token.issued_on),
        "modified_on": _shown(token.modified_on),
        "policies": token.policies,
    }
    if token.condition is not None:
        shown["condition"] = token.condition
    if token.expires_on is not None:
        shown["expires_on"] = _shown(token.expires_on)
    if token.not_before is not None:
        shown["not_before"] = _shown(token.not_before)
    return shown


def verified(token: Token, *, now: datetime) -> dict[str, Any]:
    """Return what a token's holder learns of it by asking."""
    full = described(token, now=now)
    return {k: full[k] for k in ("id", "status", "expires_on", "not_before") if k in full}


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _time(name: str, sent: Any) -> datetime | None:
    if sent is None:
        return None
    try:
        if not isinstance(sent, str):
            raise ValueError
        moment = datetime.fromisoformat(sent)
    except ValueError:
        raise errors.bad_request(f"{name} must be a time as in RFC 3339") from None
    if moment.tzinfo is None or moment.microsecond:
        raise errors.bad_request(f"{name} must be in UTC and whole seconds")
    return moment.astimezone(UTC)
