"""API keys: the one this process was started with, and those made from it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from typing import Any

from localcloud.caas.domain.cloud import Cloud
from localcloud.caas.errors import ApiError
from localcloud.caas.wire import KeyRequest


class UnauthorizedError(ApiError):
    """No key, or a bad one."""

    status = 401


def is_good(cloud: Cloud, key: str) -> bool:
    """Say whether a key is known and has not expired."""
    if hmac.compare_digest(key.encode(), cloud.settings.api_key.encode()):
        return True
    expires_at = cloud.store.key_expiry(_hash(key))
    return expires_at is not None and expires_at > cloud.clock.now()


def create(cloud: Cloud, token: str, request: KeyRequest) -> dict[str, Any]:
    """Make a further key; in place of a browser's token this takes the first key."""
    if not hmac.compare_digest(token.encode(), cloud.settings.api_key.encode()):
        raise UnauthorizedError("Invalid token")
    key = f"io-v2-{secrets.token_urlsafe(32)}"
    cloud.store.add_key(_hash(key), expires_at=request.expires_at)
    return {
        "id": str(uuid.uuid4()),
        "description": request.description,
        "project": request.project,
        "scopes": request.scopes,
        "expires_at": request.expires_at.isoformat(),
        "api_key": key,
    }


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
