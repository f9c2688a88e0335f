"""Keeps deployments, container attempts, secrets and keys in SQLite, over restarts.

The file is readable by its owner only, and deleted secrets are overwritten in it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from localcloud.caas.domain.records import LIVE, Attempt, Deployment, Event, Secrets, Status

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deployments (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL,
  started_at TEXT, terminating_at TEXT, finished_at TEXT, duration_hours INTEGER NOT NULL,
  amount_paid TEXT NOT NULL, hardware_id TEXT NOT NULL, hardware_name TEXT NOT NULL,
  brand_name TEXT NOT NULL, gpus_per_container INTEGER NOT NULL, replica_count INTEGER NOT NULL,
  allocation TEXT NOT NULL, traffic_port INTEGER NOT NULL, entrypoint TEXT NOT NULL,
  args TEXT NOT NULL, env TEXT NOT NULL, image_url TEXT NOT NULL, secret_keys TEXT NOT NULL,
  generation INTEGER NOT NULL, pulled INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS attempts (
  attempt_id TEXT PRIMARY KEY, container_id TEXT NOT NULL, deployment_id TEXT NOT NULL,
  slot INTEGER NOT NULL, device_id TEXT NOT NULL, created_at TEXT NOT NULL,
  not_before TEXT NOT NULL, status TEXT NOT NULL, current INTEGER NOT NULL,
  generation INTEGER NOT NULL, silent_attempts INTEGER NOT NULL, runtime_id TEXT,
  host_port INTEGER, running_at TEXT, ended_at TEXT, events TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_of ON attempts (deployment_id, slot);
CREATE TABLE IF NOT EXISTS secrets (deployment_id TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS kept_logs (
  attempt_id TEXT, stream TEXT, value BLOB NOT NULL, PRIMARY KEY (attempt_id, stream));
CREATE TABLE IF NOT EXISTS api_keys (hash TEXT PRIMARY KEY, expires_at TEXT NOT NULL);
"""
_MOMENTS = {
    "created_at",
    "started_at",
    "terminating_at",
    "finished_at",
    "not_before",
    "running_at",
    "ended_at",
}
_JSON = {"hardware_id", "allocation", "entrypoint", "args", "env", "secret_keys"}
_LISTS = {"entrypoint", "args", "secret_keys"}


class Store:
    """One connection, one lock: a request or a reconciler's step at a time, each very short."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA secure_delete=ON")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        if self._rows("SELECT 1 FROM pragma_table_info('attempts') WHERE name = 'engine_id'"):
            # Older files call it so, and may hold live deployments.
            self._run("ALTER TABLE attempts RENAME COLUMN engine_id TO runtime_id")

    def close(self) -> None:
        """Close the file; the store cannot be used again."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is done inside one step for every other thread; undone when it raises."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def add(self, deployment: Deployment, *, secrets: Secrets, attempts: Sequence[Attempt]) -> None:
        """Remember a new deployment with its first attempts."""
        with self.transaction():
            self._insert("deployments", vars(deployment))
            self.set_secrets(deployment.id, secrets)
            for attempt in attempts:
                self.add_attempt(attempt)

    def deployment(self, deployment_id: str) -> Deployment | None:
        """Find one by id."""
        found = self._rows("SELECT * FROM deployments WHERE id = ?", deployment_id)
        return _deployment(found[0]) if found else None

    def live(self) -> list[Deployment]:
        """Return those that hold hardware, oldest first."""
        return [
            _deployment(row)
            for row in self._rows(
                "SELECT * FROM deployments WHERE status IN (?, ?, ?) ORDER BY created_at", *LIVE
            )
        ]

    def every(self, *, status: str | None = None) -> list[Deployment]:
        """Return all there ever were, newest first."""
        return [
            _deployment(row)
            for row in self._rows(
                "SELECT * FROM deployments WHERE ? IS NULL OR status = ? "
                "ORDER BY created_at DESC, rowid DESC",
                status,
                status,
            )
        ]

    def change(
        self, deployment_id: str, *, only_from: Sequence[Status] = LIVE, **changes: Any
    ) -> bool:
        """Change members while the status is one of `only_from`; False when it was another."""
        marks = ", ".join("?" for _ in only_from)
        return self._update(
            "deployments",
            changes,
            where=f"id = ? AND status IN ({marks})",
            values=(deployment_id, *only_from),
        )

    def age(self, deployment_id: str, *, by: timedelta) -> bool:
        """Let a live one have begun earlier; False when none of this id lives."""
        with self.transaction():
            found = self.deployment(deployment_id)
            if found is None:
                return False
            started_at = found.started_at - by if found.started_at else None
            return self.change(
                deployment_id, created_at=found.created_at - by, started_at=started_at
            )

    def end(self, deployment_id: str, status: Status, *, at: datetime) -> bool:
        """Record the end and forget the secrets; False when it had ended before."""
        with self.transaction():
            ended = self.change(deployment_id, status=status, finished_at=at)
            self._run("DELETE FROM secrets WHERE deployment_id = ?", deployment_id)
            return ended

    def secrets(self, deployment_id: str) -> Secrets:
        """Return what the containers need; empty once the deployment has ended."""
        found = self._rows("SELECT value FROM secrets WHERE deployment_id = ?", deployment_id)
        return Secrets(**json.loads(found[0]["value"])) if found else Secrets()

    def set_secrets(self, deployment_id: str, secrets: Secrets) -> None:
        """Replace the secrets of a deployment."""
        self._run(
            "INSERT OR REPLACE INTO secrets VALUES (?, ?)",
            deployment_id,
            json.dumps(asdict(secrets)),
        )

    def add_attempt(self, attempt: Attempt) -> None:
        """Remember an attempt; a current one takes the place of the slot's former."""
        with self.transaction():
            self._run(
                "UPDATE attempts SET current = 0 WHERE deployment_id = ? AND slot = ?",
                attempt.deployment_id,
                attempt.slot,
            )
            self._insert("attempts", vars(attempt))

    def attempts(self, deployment_id: str, *, current: bool = True) -> list[Attempt]:
        """Return the containers by slot; with `current=False` all attempts, newest first."""
        query = "SELECT * FROM attempts WHERE deployment_id = ? "
        query += "AND current = 1 ORDER BY slot" if current else "ORDER BY rowid DESC"
        return [_attempt(row) for row in self._rows(query, deployment_id)]

    def change_attempt(self, attempt_id: str, **changes: Any) -> bool:
        """Change members of an attempt."""
        return self._update("attempts", changes, where="attempt_id = ?", values=(attempt_id,))

    def add_event(self, attempt_id: str, message: str, *, at: datetime) -> None:
        """Append a line to the story of an attempt."""
        with self.transaction():
            rows = self._rows("SELECT * FROM attempts WHERE attempt_id = ?", attempt_id)
            for row in rows:
                events = (*_attempt(row).events, Event(time=at, message=message))
                self.change_attempt(attempt_id, events=events)

    def keep_log(self, attempt_id: str, stream: str, text: bytes) -> None:
        """Keep the output of a container that is about to be removed."""
        self._run("INSERT OR REPLACE INTO kept_logs VALUES (?, ?, ?)", attempt_id, stream, text)

    def kept_log(self, attempt_id: str, stream: str) -> bytes | None:
        """Return output kept before."""
        found = self._rows(
            "SELECT value FROM kept_logs WHERE attempt_id = ? AND stream = ?", attempt_id, stream
        )
        return found[0]["value"] if found else None

    def add_key(self, key_hash: str, *, expires_at: datetime) -> None:
        """Remember a further API key by its hash."""
        self._run("INSERT OR REPLACE INTO api_keys VALUES (?, ?)", key_hash, expires_at.isoformat())

    def key_expiry(self, key_hash: str) -> datetime | None:
        """Return until when a key is good; None for an unknown one."""
        found = self._rows("SELECT expires_at FROM api_keys WHERE hash = ?", key_hash)
        return datetime.fromisoformat(found[0]["expires_at"]) if found else None

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _run(self, query: str, *values: object) -> int:
        with self._lock:
            return self._db.execute(query, values).rowcount

    def _insert(self, table: str, members: Mapping[str, Any]) -> None:
        marks = ", ".join("?" for _ in members)
        values = [_encoded(name, value) for name, value in members.items()]
        self._run(f"INSERT INTO {table} ({', '.join(members)}) VALUES ({marks})", *values)  # noqa: S608 column names are dataclass fields

    def _update(
        self, table: str, changes: Mapping[str, Any], *, where: str, values: Sequence[object]
    ) -> bool:
        assignments = ", ".join(f"{name} = ?" for name in changes)
        new = [_encoded(name, value) for name, value in changes.items()]
        return self._run(f"UPDATE {table} SET {assignments} WHERE {where}", *new, *values) > 0  # noqa: S608 column names are ours


def _encoded(name: str, value: Any) -> Any:
    if name in _JSON:
        return json.dumps(value)
    if name == "events":
        return json.dumps([[event.time.isoformat(), event.message] for event in value])
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _decoded(row: sqlite3.Row) -> dict[str, Any]:
    members = dict(row)
    for name in _MOMENTS & members.keys():
        members[name] = datetime.fromisoformat(members[name]) if members[name] else None
    for name in _JSON & members.keys():
        value = json.loads(members[name])
        members[name] = tuple(value) if name in _LISTS and value is not None else value
    return members


def _deployment(row: sqlite3.Row) -> Deployment:
    members = _decoded(row)
    return Deployment(**{**members, "amount_paid": Decimal(members["amount_paid"])})


def _attempt(row: sqlite3.Row) -> Attempt:
    members = _decoded(row)
    events = tuple(
        Event(time=datetime.fromisoformat(time), message=message)
        for time, message in json.loads(members["events"])
    )
    return Attempt(**{**members, "events": events, "current": bool(members["current"])})
