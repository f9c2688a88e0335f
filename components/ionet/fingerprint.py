"""What a container was started with, secrets included, as a mark that tells nobody anything; pure.

It lies among the plain variables, where io.net gives it back. Only whoever knows the run's access
token can compare it: a machine that holds other credentials than the run has now cannot write.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Literal

from container.contract.environment import NAMES

VARIABLE = NAMES["fingerprint"]
LEFT_OUT = frozenset(
    {
        VARIABLE,
        *(NAMES[field] for field in ("duration_hours", "price_usd_per_hour")),
        *(NAMES[field] for field in ("notify_url", "ping_url")),
    }
)
"""Hours are extended and prices move, and whoever is told something trains nothing: they tell no
two containers apart."""

Match = Literal["same", "other", "unknown"]


def of(env: Mapping[str, str], secret_env: Mapping[str, str]) -> str:
    """Return the fingerprint, 32 hex digits, of a container's plain and secret variables."""
    key = secret_env.get(NAMES["access_token"]) or secret_env[NAMES["secret_access_key"]]
    plain = {name: value for name, value in env.items() if name not in LEFT_OUT}
    secret = {name: value for name, value in secret_env.items() if name not in LEFT_OUT}
    text = json.dumps([plain, secret], sort_keys=True, separators=(",", ":"))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def compare(env: Mapping[str, str] | None, secret_env: Mapping[str, str]) -> Match:
    """Say whether a container that was started with these plain variables got these secrets.

    unknown: the vendor tells no variables, or an older release rented it, without a fingerprint.
    """
    told = (env or {}).get(VARIABLE)
    if env is None or not told:
        return "unknown"
    return "same" if hmac.compare_digest(told, of(env, secret_env)) else "other"
