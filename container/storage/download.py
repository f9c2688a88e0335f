"""Brings artefacts from the bucket onto the disk; what is fetched must match by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from container.contract.recipe import Stage
from container.contract.records import Artifact
from container.storage.bucket import BucketUnavailableError, RunBucket
from container.storage.retry import retry_stream

FILES_AT_ONCE = 8


class DiskError(Exception):
    """What is needed from the bucket cannot be written to this machine's disk; says why."""


def fetch(
    bucket: RunBucket,
    wanted: Sequence[tuple[Artifact, Path]],
    *,
    say: Callable[[str], None],
    give_up: Callable[[], bool] = lambda: False,
) -> list[Artifact]:
    """Bring artefacts onto the disk, verified by hash; return those whose content is wrong.

    Files that are there with the right hash stay. Raises BucketError (also when given up: 20 GB
    take longer than a stop leaves) or DiskError.
    """

    def one(item: tuple[Artifact, Path]) -> Artifact | None:
        artifact, path = item
        if _has(path, artifact) or _download(bucket, artifact, path, give_up):
            return None
        say(f"{artifact.key} in the bucket has another content than its record says: ignored")
        return artifact

    with ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="fetch") as pool:
        return [bad for bad in pool.map(one, wanted) if bad is not None]


def local_path(
    key: str, stage: Stage, *, work_dir: Path, fill: Callable[[str], str]
) -> Path | None:
    """Return where a stage's artefact lies on disk, None when no upload of the stage covers it."""
    for upload in stage.uploads:
        key_root, local_root = fill(upload.key).rstrip("/"), fill(upload.local).rstrip("/")
        if key == key_root:
            return work_dir / local_root
        if key.startswith(key_root + "/"):
            return work_dir / local_root / key[len(key_root) + 1 :]
    return None


def _has(path: Path, artifact: Artifact) -> bool:
    try:
        if path.stat().st_size != artifact.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
    except OSError:
        return False


def _download(
    bucket: RunBucket, artifact: Artifact, path: Path, give_up: Callable[[], bool]
) -> bool:
    part = path.with_name(path.name + ".download")
    digest, size = hashlib.sha256(), 0

    def open_at(start: int) -> Iterator[bytes]:
        return bucket.stream(artifact.key, start=start)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for chunk in retry_stream(open_at, size_bytes=artifact.size_bytes):
                if give_up():
                    raise BucketUnavailableError(f"{artifact.key}: given up")
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        if digest.hexdigest() != artifact.sha256 or size != artifact.size_bytes:
            return False
        part.replace(path)
        return True
    except OSError as error:
        raise DiskError(f"cannot write {path.name} to the disk: {error.strerror}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
