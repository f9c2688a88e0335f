"""What happened to a run, told to an address that a user gave; never raises. Stdlib only.

Slack, Discord and ntfy each want a body of their own, and are told by their address; every other
address gets JSON. The address is as good as a password: no answer here holds it.
Facts: https://api.slack.com/messaging/webhooks, https://discord.com/developers/docs/resources/webhook,
https://docs.ntfy.sh/publish/
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from container.contract.redacted import without_secrets
from container.transport.http_post import post
from container.transport.network import reason_of

TIMEOUT_S: Final = 10.0
MOST_CHARACTERS: Final = 1800  # Discord takes 2,000
_PLAIN: Final = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "trainstack"}
_JSON: Final = {"Content-Type": "application/json", "User-Agent": "trainstack"}

Event = Literal[
    "verdict", "stalled", "will not end in time", "ended without a verdict", "given back"
]

URGENT: Final = ("stalled", "will not end in time", "ended without a verdict")


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One thing that happened; `text` is a sentence or two, for people."""

    event: Event
    run: str
    text: str
    prefix: str = ""
    outcome: str = ""  # of a verdict


@dataclass(frozen=True, kw_only=True)
class Post:
    """What is sent: body and headers."""

    body: bytes
    headers: dict[str, str]


def send(url: str, notice: Notice, *, timeout_s: float = TIMEOUT_S) -> str:
    """Tell it once; return "" when it was taken, else why not, without the address."""
    return _posted(url, lambda: post_of(url, notice), timeout_s=timeout_s)


def ping(url: str, signal: str, *, text: str = "", timeout_s: float = TIMEOUT_S) -> str:
    """Give one sign of life, `start`, `fail` or "" for success; return "" when it was taken."""
    address = f"{url.rstrip('/')}/{signal}".rstrip("/")
    made = Post(body=text.encode(), headers=dict(_PLAIN))
    return _posted(address, lambda: made, timeout_s=timeout_s)


def post_of(url: str, notice: Notice) -> Post:
    """Return what the service of this address takes; pure."""
    text = without_secrets(notice.text)
    text = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    host, path = host_of(url), urlsplit(url).path
    if host == "hooks.slack.com" or path.endswith("/slack"):  # Discord takes Slack's there
        return _json({"text": text})
    if host in ("discord.com", "discordapp.com") or "/api/webhooks/" in path:
        return _json({"content": text, "allowed_mentions": {"parse": []}})
    if host.split(".")[0] == "ntfy":
        urgent = notice.outcome == "failed" or notice.event in URGENT
        title = f"{notice.run}: {notice.outcome or notice.event}"
        headers = {**_PLAIN, "Title": title, "Priority": "high" if urgent else "default"}
        return Post(body=text.encode(), headers=headers)
    members = {
        "event": notice.event,
        "run": notice.run,
        "prefix": notice.prefix,
        "outcome": notice.outcome,
        "text": text,
    }
    return _json(members)


def host_of(url: str) -> str:
    """Return the host of an address, the one part of it that may be shown."""
    try:
        return urlsplit(url).hostname or "the address"
    except ValueError:
        return "the address"


def _posted(url: str, make: Callable[[], Post], *, timeout_s: float) -> str:
    host = host_of(url)
    try:
        made = make()
        status, _ = post(url, made.body, headers=made.headers, timeout_s=timeout_s)
    except Exception as error:  # noqa: BLE001  # no network, no HTTP, no address: all say the same
        return f"{host} does not answer: {reason_of(error)}"
    return "" if 200 <= status < 300 else f"{host} answered HTTP {status}"


def _json(members: Mapping[str, object]) -> Post:
    return Post(body=json.dumps(dict(members)).encode(), headers=dict(_JSON))
