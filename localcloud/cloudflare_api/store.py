"""What the stand-in for Cloudflare remembers, in SQLite: tokens, and the attributes of buckets.

Of a token's value only the SHA-256 is kept: it is the key to find it by, and its S3 secret.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
  id TEXT PRIMARY KEY, value_sha256 TEXT NOT NULL UNIQUE, content TEXT NOT NULL, made INTEGER
);
CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, content TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Token:
    """An account token; times are aware UTC, whole seconds."""

    id: str
    value_sha256: str = field(repr=False)
    name: str
    policies: list[dict[str, Any]]
    issued_on: datetime
    modified_on: datetime
    status: str = "active"  # or "disabled"; "expired" follows from the clock
    expires_on: datetime | None = None
    not_before: datetime | None = None
    condition: dict[str, Any] | None = None

    def status_at(self, now: datetime) -> str:
        """Return the status that Cloudflare would show now."""
        if self.expires_on is not None and self.expires_on <= now:
            return "expired"
        return self.status

    def usable_at(self, now: datetime) -> bool:
        """Tell whether the token opens anything now."""
        early = self.not_before is not None and now < self.not_before
        return self.status_at(now) == "active" and not early


@dataclass(frozen=True)
class Bucket:
    """A bucket's attributes that S3 does not know."""

    name: str
    creation_date: datetime
    jurisdiction: str = "default"
    location: str = "ENAM"
    storage_class: str = "Standard"


class Store:
    """The tables; every method is one transaction and may be called from any thread."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(str(path), check_same_thread=False)
        if path != ":memory:":
            Path(path).chmod(0o600)
            self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    def tokens(self) -> list[Token]:
        """Return every token, oldest first."""
        with self._transaction() as run:
            rows = run.execute("SELECT id, value_sha256, content FROM tokens ORDER BY made")
            return [_token(*row) for row in rows]

    def token(self, token_id: str) -> Token | None:
        with self._transaction() as run:
            row = run.execute(
                "SELECT id, value_sha256, content FROM tokens WHERE id = ?", (token_id,)
            ).fetchone()
        return _token(*row) if row else None

    def token_of_value(self, value_sha256: str) -> Token | None:
        with self._transaction() as run:
            row = run.execute(
                "SELECT id, value_sha256, content FROM tokens WHERE value_sha256 = ?",
                (value_sha256,),
            ).fetchone()
        return _token(*row) if row else None

    def put_token(self, token: Token) -> None:
        """Store a token, replacing the one of the same id."""
        content = {
            "name": token.name,
            "policies": token.policies,
            "issued_on": token.issued_on.isoformat(),
            "modified_on": token.modified_on.isoformat(),
            "status": token.status,
            "expires_on": token.expires_on.isoformat() if token.expires_on else None,
            "not_before": token.not_before.isoformat() if token.not_before else None,
            "condition": token.condition,
        }
        with self._transaction() as run:
            run.execute(
                "INSERT INTO tokens (id, value_sha256, content, made) VALUES (?, ?, ?, "
                "(SELECT coalesce(max(made), 0) + 1 FROM tokens)) ON CONFLICT (id) DO UPDATE "
                "SET value_sha256 = excluded.value_sha256, content = excluded.content",
                (token.id, token.value_sha256, json.dumps(content)),
            )

    def delete_token(self, token_id: str) -> bool:
        with self._transaction() as run:
            return run.execute("DELETE FROM tokens WHERE id = ?", (token_id,)).rowcount > 0

    def buckets(self) -> dict[str, Bucket]:
        with self._transaction() as run:
            rows = run.execute("SELECT name, content FROM buckets").fetchall()
        return {name: _bucket(name, content) for name, content in rows}

    def put_bucket(self, bucket: Bucket) -> None:
        content = {
            "creation_date": bucket.creation_date.isoformat(),
            "jurisdiction": bucket.jurisdiction,
            "location": bucket.location,
            "storage_class": bucket.storage_class,
        }
        with self._transaction() as run:
            run.execute(
                "INSERT OR REPLACE INTO buckets (name, content) VALUES (?, ?)",
                (bucket.name, json.dumps(content)),
            )

    def delete_bucket(self, name: str) -> None:
        with self._transaction() as run:
            run.execute("DELETE FROM buckets WHERE name = ?", (name,))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._connection:
            yield self._connection


def _token(token_id: str, value_sha256: str, content: str) -> Token:
    fields: dict[str, Any] = json.loads(content)
    for name in ("issued_on", "modified_on", "expires_on", "not_before"):
        if fields[name] is not None:
            fields[name] = datetime.fromisoformat(fields[name])
    return Token(id=token_id, value_sha256=value_sha256, **fields)


def _bucket(name: str, content: str) -> Bucket:
    fields: dict[str, Any] = json.loads(content)
    fields["creation_date"] = datetime.fromisoformat(fields["creation_date"])
    return Bucket(name=name, **fields)
