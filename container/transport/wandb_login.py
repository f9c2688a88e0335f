"""Whether W&B takes a key, asked of its API: before renting, by `runs doctor`, on the machine.

Three outcomes, as each check has; never an exception, and bounded in time. Standard library only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

from container.transport.http_post import post
from container.transport.network import reason_of

DEFAULT_BASE_URL: Final = "https://api.wandb.ai"
TIMEOUT_S: Final = 10.0
_QUERY: Final = b'{"query": "query Viewer { viewer { id } }"}'


@dataclass(frozen=True)
class Answer:
    """What W&B says to a key; `why` never holds it."""

    outcome: Literal["allowed", "refused", "unknown"]
    why: str = ""


def ask(key: str, *, env: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> Answer:
    """Ask W&B, at WANDB_BASE_URL of `env` where that is set, who the key is; never raises."""
    odd = next((n for n, one in enumerate(key) if not "!" <= one <= "~"), None)
    if odd is not None:
        return Answer("refused", f"character {odd + 1} of the key is none that a key has")
    url = (env.get("WANDB_BASE_URL") or DEFAULT_BASE_URL).rstrip("/")
    try:
        status, body = _post(f"{url}/graphql", key, timeout_s=timeout_s)
    except Exception as error:  # noqa: BLE001  # no network, no HTTP, no address: all say the same
        return Answer("unknown", f"{_host(url)} does not answer: {reason_of(error)}")
    return judge(status, body, host=_host(url))


def judge(status: int, body: bytes, *, host: str) -> Answer:
    """Say what an answer means. Only W&B's own words refuse: a proxy's 403 is no JSON."""
    try:
        told: Any = json.loads(body)
    except ValueError:
        told = None
    if status == 401 or (status == 403 and isinstance(told, dict)):
        return Answer("refused", f"{host} does not know the key (HTTP {status})")
    members = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    found = members.get("data")
    if status != 200 or not isinstance(found, dict) or "viewer" not in found:
        return Answer("unknown", f"{host} answered HTTP {status}, nothing of the key")
    if cast("dict[str, Any]", found)["viewer"]:
        return Answer("allowed")
    return Answer("refused", f"{host} does not know the key")


def _post(url: str, key: str, *, timeout_s: float) -> tuple[int, bytes]:
    login = base64.b64encode(f"api:{key}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    return post(url, _QUERY, headers=headers, timeout_s=timeout_s)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "W&B"
    except ValueError:
        return "WANDB_BASE_URL"
