"""The Cloudflare API as the cloudflare stand-in calls it: envelope, headers, retries, errors."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from components.http_session import make_session
from localcloud.pulumi.plugins.resource import PluginError

REAL = "https://api.cloudflare.com/client/v4"
CONNECT_S = 5.0
READ_S = 60.0

RETRIES = 5
FIRST_WAIT_S = 0.25
"""Doubling: 0.25, 0.5, 1, 2, 4 s. The real client waits 158 to 210 s in all, in ten retries."""
LONGEST_WAIT_S = 60.0

_RETRIED = frozenset({408, 409, 429})


class CloudflareRefusedError(PluginError):
    """Cloudflare said no; `status` is the HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class CloudflareApi:
    """Calls with the operator's token; addresses and token from config, else environment."""

    def __init__(
        self,
        config: Mapping[str, str] | None = None,
        *,
        environment: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config: Mapping[str, str] = config or {}
        self._environment = environment
        self._sleep = sleep

    def find(self, path: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Return what is at the path; None when Cloudflare says that there is nothing."""
        try:
            return self.call("GET", path, headers=headers)
        except CloudflareRefusedError as refusal:
            if refusal.status == requests.codes.not_found:
                return None
            raise

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the answer's result; raise CloudflareRefusedError, or PluginError without one."""
        base = self._setting("baseUrl", "CLOUDFLARE_BASE_URL") or REAL
        sent = {**self._credentials(), "Accept": "application/json", **(headers or {})}
        with make_session() as session:
            for attempt in range(RETRIES + 1):
                sent["X-Stainless-Retry-Count"] = str(attempt)
                wait_s = FIRST_WAIT_S * 2**attempt
                try:
                    answer = session.request(
                        method,
                        base.rstrip("/") + path,
                        json=body,
                        headers=sent,
                        timeout=(CONNECT_S, READ_S),
                    )
                except (requests.ConnectionError, requests.Timeout) as error:
                    if attempt == RETRIES:
                        raise PluginError(_unreachable(method, path, base)) from error
                else:
                    again = _wait_before_retry(answer, wait_s)
                    if again is None or attempt == RETRIES:
                        return _result(answer, method, path)
                    wait_s = again
                self._sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _setting(self, key: str, variable: str) -> str | None:
        return self.config.get(key) or self._environment.get(variable) or None

    def _credentials(self) -> dict[str, str]:
        token = self._setting("apiToken", "CLOUDFLARE_API_TOKEN")
        if token is None:
            raise PluginError(
                "There is no Cloudflare API token. Set CLOUDFLARE_API_TOKEN; in the rehearsal, "
                "`source` the env file of the local cloud."
            )
        suffix = self._setting("userAgentOperatorSuffix", "CLOUDFLARE_USER_AGENT_OPERATOR_SUFFIX")
        agent = f"trainstack-stand-in {suffix or ''}".strip()
        return {"Authorization": f"Bearer {token}", "User-Agent": agent}


def _wait_before_retry(answer: requests.Response, usual_s: float) -> float | None:
    """Return the seconds to wait before asking again; None when the answer stands."""
    said = answer.headers.get("x-should-retry")
    retried = answer.status_code in _RETRIED or answer.status_code >= 500
    if said == "false" or (not retried and said != "true"):
        return None
    for header, unit in (("Retry-After-Ms", 0.001), ("Retry-After", 1.0)):
        try:
            wait_s = float(answer.headers[header]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= wait_s < LONGEST_WAIT_S:
            return wait_s
    return usual_s


def _result(answer: requests.Response, method: str, path: str) -> dict[str, Any]:
    try:
        envelope = answer.json()
    except requests.JSONDecodeError:
        envelope = None
    if not isinstance(envelope, dict):
        raise CloudflareRefusedError(
            f"{method} {path}: HTTP {answer.status_code}, and no JSON object. "
            "Is CLOUDFLARE_BASE_URL the address of a Cloudflare API?",
            status=answer.status_code,
        )
    if answer.ok and envelope.get("success"):
        return envelope.get("result") or {}
    errors = "; ".join(f"{e.get('code')} {e.get('message')}" for e in envelope.get("errors") or [])
    raise CloudflareRefusedError(
        f"{method} {path}: Cloudflare refused with HTTP {answer.status_code}: "
        f"{errors or 'no reason given'}",
        status=answer.status_code,
    )


def _unreachable(method: str, path: str, base: str) -> str:
    where = urlsplit(base)
    return (
        f"{method} {path}: nobody answers at {where.scheme}://{where.netloc}. "
        "Is the local cloud up? `python -m localcloud status` says, and `start` starts it."
    )
