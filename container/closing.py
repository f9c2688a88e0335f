"""The end of a run: the manifest of all that is of value, then the verdict, once and last."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from container.bucket import Bucket, BucketError, BucketUnavailableError, ObjectChangedError
from container.checkpoints import is_marker
from container.records import (
    ATTEMPTS_PREFIX,
    LOGS_PREFIX,
    MANIFEST_KEY,
    METRICS_PREFIX,
    RUN_KEY,
    VERDICT_KEY,
    Artifact,
    Manifest,
    Verdict,
)
from container.resume import STAGES_PREFIX

# Small objects whose hash is asked of the bucket when this attempt did not write them.
_SMALL = (LOGS_PREFIX, METRICS_PREFIX, ATTEMPTS_PREFIX, STAGES_PREFIX)


def write_manifest(bucket: Bucket, *, run: str, known: dict[str, Artifact]) -> Manifest:
    """List what is in the bucket with size and hash, and write that; raises BucketError.

    Only objects whose hash is known are listed: leftovers of an unfinished checkpoint are not.
    """
    artifacts: list[Artifact] = []
    for key, size in bucket.list().items():
        artifact = known.get(key)
        if artifact is not None and artifact.size_bytes == size:
            artifacts.append(artifact)
        elif key == RUN_KEY or key.startswith(_SMALL) or is_marker(key):
            artifacts.append(Artifact(key=key, size_bytes=size, sha256=_sha256(bucket, key)))
    manifest = Manifest(run=run, artifacts=artifacts)
    bucket.put(MANIFEST_KEY, manifest.to_json())
    return manifest


def settle(
    bucket: Bucket,
    verdict: Verdict,
    *,
    known: dict[str, Artifact],
    may_write: Callable[[], bool],
    give_up: Callable[[], bool],
    say: Callable[[str], None],
) -> Verdict | None:
    """Write manifest and verdict, however long that takes; None when it was given up."""
    pause_s = 1.0
    while not give_up():
        try:
            if not may_write():
                raise BucketUnavailableError("the lease was not renewed in time")
            write_manifest(bucket, run=verdict.run, known=known)
            verdict = write_verdict(bucket, verdict)
            say(f"verdict written: {verdict.outcome}")
            return verdict
        except BucketError as error:
            say(f"the verdict waits: {error}; retrying")
        deadline = time.monotonic() + pause_s
        while time.monotonic() < deadline and not give_up():
            time.sleep(0.1)
        pause_s = min(pause_s * 2, 30.0)
    return None


def write_verdict(bucket: Bucket, verdict: Verdict) -> Verdict:
    """Write the verdict if there is none; return the one that holds; raises BucketError."""
    try:
        bucket.put(VERDICT_KEY, verdict.to_json(), only_if_absent=True)
    except ObjectChangedError:
        return read_verdict(bucket) or verdict
    return verdict


def read_verdict(bucket: Bucket) -> Verdict | None:
    """Return the verdict, None when there is none; raises BucketError or RecordError."""
    raw = bucket.get(VERDICT_KEY)
    return Verdict.from_json(raw) if raw is not None else None


def _sha256(bucket: Bucket, key: str) -> str:
    head = bucket.head(key)
    known = head[1].get("sha256", "") if head else ""
    return known or hashlib.sha256(bucket.get(key) or b"").hexdigest()
