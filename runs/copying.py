"""`runs pull` on a terminal: progress on stderr, the default folder, the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runs.download.plan import Item, Pulled
from runs.download.puller import Puller
from runs.source.bucket import Bucket
from runs.terminal import formats, progress_bar
from runs.terminal.options import say


def default_folder(prefix: str) -> Path:
    """Return `pulled/<prefix>` here, made so that git never sees it."""
    base = Path("pulled")
    base.mkdir(exist_ok=True)
    (base / ".gitignore").write_text("*\n")
    return base / prefix


def copy(bucket: Bucket, items: Sequence[Item], *, prefix: str, folder: Path) -> list[Pulled]:
    """Copy with progress on stderr: a bar on a terminal, elsewhere a line now and then."""
    total = sum(item.size_bytes for item in items)
    say(f"{formats.plural(len(items), 'file')}, {formats.size(total)}, into {folder}")
    with progress_bar.of_bytes(total) as advance:
        return Puller(bucket, prefix=prefix, folder=folder, progress=advance).pull(items)


def summary(results: Sequence[Pulled], *, folder: Path) -> str:
    """Say in one line what came of it."""
    counts = Counter(found.result for found in results)
    good = [f for f in results if f.result in ("copied", "already here")]
    checked = "all hashes right" if all(f.item.sha256 for f in results) else "sizes right"
    parts = [f"{number} {result}" for result, number in counts.items()]
    tail = (
        checked if len(good) == len(results) else "run the same again, or see `python -m runs logs`"
    )
    size = formats.size(sum(f.item.size_bytes for f in good))
    return f"{folder}: {', '.join(parts)} ({size}); {tail}"


def as_json(results: Sequence[Pulled], *, folder: Path) -> dict[str, Any]:
    """Return the object that `--json` prints."""
    return {
        "folder": str(folder),
        "files": [
            {
                "key": found.item.key,
                "path": str(found.item.path),
                "size_bytes": found.item.size_bytes,
                "sha256": found.item.sha256 or None,
                "result": found.result,
                "detail": found.detail or None,
            }
            for found in results
        ],
    }
