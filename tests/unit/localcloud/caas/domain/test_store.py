"""What the CaaS stand-in keeps is read again by the next process, of whatever version it was."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from localcloud.caas.domain.records import Attempt
from localcloud.caas.domain.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ATTEMPT = Attempt(
    attempt_id="a1",
    container_id="c1",
    deployment_id="d1",
    slot=0,
    device_id="x",
    created_at=NOW,
    not_before=NOW,
    runtime_id="r1",
)


def test_an_attempt_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "caas.sqlite3")
    store.add_attempt(ATTEMPT)
    store.close()
    again = Store(tmp_path / "caas.sqlite3")
    assert again.attempts("d1") == [ATTEMPT]
    again.close()


def test_a_file_that_names_the_runtimes_id_as_it_was_once_called_is_read(tmp_path: Path) -> None:
    """A live rental of the cloud that `make up` made must not be lost with a name."""
    path = tmp_path / "caas.sqlite3"
    store = Store(path)
    store.add_attempt(ATTEMPT)
    store.close()
    with sqlite3.connect(path) as old:
        old.execute("ALTER TABLE attempts RENAME COLUMN runtime_id TO engine_id")
    old.close()
    store = Store(path)
    assert store.attempts("d1") == [ATTEMPT]
    store.close()
