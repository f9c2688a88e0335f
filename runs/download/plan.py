"""What `runs pull` copies where, and in which pieces; pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from container.contract.records import Artifact
from runs.errors import RunsError

RANGE_BYTES = 32 * 1024 * 1024  # small enough that eight streams share one 20 GB file
JOURNAL = ".pull.jsonl"

Result = Literal["copied", "already here", "damaged", "missing"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One object to copy; `sha256` is empty when nobody recorded it.

    `version` tells one content of a key from another: the hash, or the server's ETag.
    """

    key: str
    size_bytes: int
    sha256: str
    version: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """What came of one item."""

    item: Item
    result: Result
    detail: str = ""


def plan(
    artifacts: Iterable[Artifact],
    *,
    folder: Path,
    only: str = "",
    versions: Mapping[str, str] | None = None,
) -> list[Item]:
    """Return what to copy where; raises RunsError for a key that would leave the folder."""
    items: list[Item] = []
    for artifact in artifacts:
        parts = PurePosixPath(artifact.key).parts
        if not parts or parts[0] in ("/", JOURNAL) or ".." in parts or "\0" in artifact.key:
            raise RunsError(
                f"the manifest names {artifact.key!r}, which would be written outside of the "
                "folder.\nNothing was copied: the manifest is damaged, or not ours."
            )
        if not only or fnmatch.fnmatchcase(artifact.key, only):
            items.append(
                Item(
                    key=artifact.key,
                    size_bytes=artifact.size_bytes,
                    sha256=artifact.sha256,
                    version=artifact.sha256 or (versions or {}).get(artifact.key, ""),
                    path=folder.joinpath(*parts),
                )
            )
    return items


def ranges(size_bytes: int, *, range_bytes: int = RANGE_BYTES) -> list[tuple[int, int]]:
    """Cut a file into (offset, length); an empty file has none."""
    return [
        (offset, min(range_bytes, size_bytes - offset))
        for offset in range(0, size_bytes, range_bytes)
    ]
