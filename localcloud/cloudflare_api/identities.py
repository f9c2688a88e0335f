"""Keeps the S3 server's identities equal to the tokens that are usable now.

One rule, applied after every change and whenever a token's time begins or ends: so an expired or
deleted token is refused by S3, and a server that forgot its identities gets them back.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from localcloud.cloudflare_api.permissions import s3_grants
from localcloud.cloudflare_api.store import Store, Token
from localcloud.errors import LocalCloudError
from localcloud.object_store.seaweedfs import weed_shell

PREFIX = "token-"  # identities of ours; others in the server are left alone
RETRY_S = 2.0
MAX_SLEEP_S = 300.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """An S3 identity: its key pair and actions such as `Read:bucket`."""

    access_key: str
    secret_key: str = field(repr=False)
    actions: frozenset[str]


class IdentityServer(Protocol):
    """The identities of an S3 server."""

    def read(self) -> dict[str, Identity]: ...

    def apply(self, *, put: Mapping[str, Identity], delete: Mapping[str, Identity]) -> None: ...


class WeedIdentities:
    """Identities of SeaweedFS, through its shell."""

    def __init__(self, *, master: str, filer: str) -> None:
        self._master = master
        self._filer = filer

    def read(self) -> dict[str, Identity]:
        """Return our identities by user name."""
        said = weed_shell("s3.configure\n", master=self._master, filer=self._filer)
        start = said.find("{")
        content = json.JSONDecoder().raw_decode(said[start:])[0] if start >= 0 else {}
        known: dict[str, Identity] = {}
        for entry in content.get("identities", []):
            credentials = entry.get("credentials") or [{}]
            if str(entry.get("name", "")).startswith(PREFIX):
                known[entry["name"]] = Identity(
                    credentials[0].get("accessKey", ""),
                    credentials[0].get("secretKey", ""),
                    frozenset(entry.get("actions") or []),
                )
        return known

    def apply(self, *, put: Mapping[str, Identity], delete: Mapping[str, Identity]) -> None:
        """Make and remove identities; one that changes is removed and made anew."""
        lines = [f"s3.configure -user={name} -delete -apply" for name in delete]
        for name, identity in put.items():
            lines += [
                f"s3.configure -user={name} -access_key={identity.access_key} "
                f"-secret_key={identity.secret_key} -buckets={bucket} "
                f"-actions={','.join(sorted(actions))} -apply"
                for bucket, actions in _by_bucket(identity.actions).items()
            ]
        if lines:
            weed_shell("\n".join([*lines, ""]), master=self._master, filer=self._filer)


class IdentityKeeper:
    """Applies the rule, on demand and by the clock."""

    def __init__(
        self,
        store: Store,
        server: IdentityServer,
        *,
        account_id: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._server = server
        self._account_id = account_id
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._follow_clock, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def reconcile(self) -> None:
        """Make the server's identities what they should be now; raises LocalCloudError."""
        self._reconcile()
        self._wake.set()

    def _reconcile(self) -> None:
        with self._lock:
            wanted = self._wanted()
            present = self._server.read()
            put = {name: one for name, one in wanted.items() if present.get(name) != one}
            delete = {
                name: one for name, one in present.items() if name not in wanted or name in put
            }
            if put or delete:
                self._server.apply(put=put, delete=delete)

    def _wanted(self) -> dict[str, Identity]:
        now = self._clock()
        buckets = self._store.buckets()
        wanted: dict[str, Identity] = {}
        for token in self._store.tokens():
            if not token.usable_at(now):
                continue
            actions: set[str] = set()
            for grant in s3_grants(token.policies, account_id=self._account_id):
                if grant.bucket is None:
                    actions |= grant.actions
                    continue
                bucket = buckets.get(grant.bucket)
                if bucket is None or bucket.jurisdiction == grant.jurisdiction:
                    actions |= {f"{action}:{grant.bucket}" for action in grant.actions}
            if actions:
                wanted[PREFIX + token.id] = Identity(
                    token.id, token.value_sha256, frozenset(actions)
                )
        return wanted

    def _follow_clock(self) -> None:
        """Reconcile at the start, and each time a token's validity begins or ends."""
        pause = 0.0
        while True:
            just_reconciled = self._wake.wait(timeout=pause)
            self._wake.clear()
            if self._closing:
                return
            if not just_reconciled:
                try:
                    self._reconcile()
                except LocalCloudError as error:
                    log.warning("S3 identities are not up to date yet: %s", error)
                    pause = RETRY_S
                    continue
            pause = self._seconds_to_next_edge()

    def _seconds_to_next_edge(self) -> float:
        now = self._clock()
        ahead = [(edge - now).total_seconds() for edge in self._edges() if edge > now]
        return max(0.05, min([MAX_SLEEP_S, *ahead]))

    def _edges(self) -> list[datetime]:
        return [edge for token in self._store.tokens() for edge in _edges(token)]


def _edges(token: Token) -> list[datetime]:
    return [edge for edge in (token.not_before, token.expires_on) if edge is not None]


def _by_bucket(actions: frozenset[str]) -> dict[str, set[str]]:
    by_bucket: dict[str, set[str]] = {}
    for action in actions:
        verb, _, bucket = action.partition(":")
        by_bucket.setdefault(bucket, set()).add(verb)
    return by_bucket
