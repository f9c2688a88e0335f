"""All runs of a bucket, one line each: how they ended, how far they came, what they take up.

Reads in parallel; a prefix that holds no run's records is left out.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from container.contract import metrics
from container.contract.keys import MANIFEST_KEY, METRICS_PREFIX, RUN_KEY, STATUS_KEY, VERDICT_KEY
from container.contract.records import Manifest, Metric, RunRecord, RunStatus, Verdict
from runs.errors import UnreadableError
from runs.source.bucket import READERS, ReadOnlyBucket
from runs.source.run_names import RunNames
from runs.view import standing

State = standing.Standing | Literal["unreadable"]

_LAST_METRIC_OBJECTS = 5  # the last one may hold evaluations only


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run in the bucket."""

    prefix: str
    run: str
    standing: State
    recipe: str
    created_at: str
    step: int | None
    total_steps: int | None
    loss: float | None
    elapsed_s: float
    dollars: float
    objects: int
    size_bytes: int
    complete: bool  # has a manifest
    trouble: str = ""  # why it is unreadable


def entries(bucket: ReadOnlyBucket, *, now: datetime) -> list[Entry]:
    """Return every run in the bucket, the newest first."""
    prefixes = bucket.folders()
    with ThreadPoolExecutor(READERS) as pool:
        read = pool.map(partial(_readable, bucket, now=now), prefixes)
        runs = [entry for entry in read if entry is not None]
    names = {one.prefix: one.run for one in RunNames(bucket).of(_nameless(runs))}
    runs = [dataclasses.replace(run, run=names.get(run.prefix, run.run)) for run in runs]
    return sorted(runs, key=lambda entry: (entry.created_at, entry.prefix), reverse=True)


def last_step(bucket: ReadOnlyBucket, prefix: str) -> Metric | None:
    """Return the last training step that has a loss, from the newest metric objects only."""
    keys = metrics.in_order(o.key for o in bucket.objects(f"{prefix}/{METRICS_PREFIX}"))
    for key in reversed(keys[-_LAST_METRIC_OBJECTS:]):
        steps = [m for m in metrics.parse(bucket.read(key) or b"") if m.loss is not None]
        if steps:
            return steps[-1]
    return None


def _readable(bucket: ReadOnlyBucket, prefix: str, *, now: datetime) -> Entry | None:
    """Return the entry; one whose records cannot be read says so and hides no other run."""
    try:
        return _entry(bucket, prefix, now=now)
    except UnreadableError as error:
        sizes = [stored.size_bytes for stored in bucket.objects(f"{prefix}/")]
        return Entry(
            prefix=prefix,
            run="",
            standing="unreadable",
            recipe="",
            created_at="",
            step=None,
            total_steps=None,
            loss=None,
            elapsed_s=0.0,
            dollars=0.0,
            objects=len(sizes),
            size_bytes=sum(sizes),
            complete=False,
            trouble=str(error),
        )


def _entry(bucket: ReadOnlyBucket, prefix: str, *, now: datetime) -> Entry | None:
    verdict = bucket.record(f"{prefix}/{VERDICT_KEY}", Verdict)
    status = bucket.record(f"{prefix}/{STATUS_KEY}", RunStatus)
    record = bucket.record(f"{prefix}/{RUN_KEY}", RunRecord)
    if verdict is None and status is None and record is None:
        return None
    manifest = bucket.record(f"{prefix}/{MANIFEST_KEY}", Manifest)
    if manifest is not None:
        sizes = [artifact.size_bytes for artifact in manifest.artifacts]
    else:
        sizes = [stored.size_bytes for stored in bucket.objects(f"{prefix}/")]
    step, loss = (status.step, status.loss) if status is not None else (None, None)
    if loss is None and (last := last_step(bucket, prefix)) is not None:
        step, loss = last.step, last.loss
    return Entry(
        prefix=prefix,
        run=record.run if record else status.run if status else verdict.run if verdict else "",
        standing=_standing(verdict, status, now=now),
        recipe=record.recipe if record else status.recipe if status else "",
        created_at=record.created_at if record else status.started_at if status else "",
        step=step,
        total_steps=status.total_steps if status else None,
        loss=loss,
        elapsed_s=verdict.elapsed_s if verdict else status.elapsed_s if status else 0.0,
        dollars=verdict.dollars if verdict else status.dollars if status else 0.0,
        objects=len(sizes),
        size_bytes=sum(sizes),
        complete=manifest is not None,
    )


def _nameless(runs: list[Entry]) -> list[str]:
    return [run.prefix for run in runs if not run.run]


def _standing(
    verdict: Verdict | None, status: RunStatus | None, *, now: datetime
) -> standing.Standing:
    heartbeat = None if status is None else standing.hear(None, status.beat_at, now=now, now_s=0.0)
    return standing.stand(
        verdict=verdict,
        beat_age_s=None if heartbeat is None else standing.age_s(heartbeat, now_s=0.0),
        waited_s=0.0,
        limits=standing.WatchLimits(),
    )
