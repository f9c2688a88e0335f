"""What a finished stage leaves: its files go to the bucket, and after them the record of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from container.contract.recipe import Stage, Upload
from container.contract.records import Artifact
from container.stages.context import RunContext
from container.storage.checkpoint_uploader import CheckpointUploader
from container.storage.resume import StageRecord
from container.storage.upload_queue import RECORDS, REPORT, Batch


def queue_outputs(
    context: RunContext,
    stage: Stage,
    uploaders: Sequence[CheckpointUploader],
    *,
    elapsed_s: float,
) -> None:
    """Queue the stage's files, and after all its uploads the record that it is done."""
    files: list[tuple[Path, str]] = []
    for upload in stage.uploads:
        if upload.kind == "file":
            files += _files(context, upload)
    outputs = Batch(name=f"outputs of {stage.name}", files=files, priority=REPORT)
    # Earlier steps may still be on their way: what the stage made is its newest.
    checkpoints = [batch for one in uploaders if (batch := one.newest_batch()) is not None]

    def write(_: list[Artifact]) -> None:
        newest = [one for uploader in uploaders for one in uploader.newest_artifacts()]
        record = StageRecord(
            stage=stage.name,
            done=True,
            attempt=context.past.attempt,
            device_batch_size=context.device_batch_size,
            elapsed_s=round(elapsed_s, 1),
            artifacts=sorted([*outputs.artifacts, *newest], key=lambda one: one.key),
        )
        context.bucket.put(record.key, record.to_json())
        context.model_folder.want(record.artifacts)

    context.upload_queue.add(outputs)
    context.upload_queue.add(
        Batch(
            name=f"record of {stage.name}",
            priority=RECORDS,
            after=[outputs, *checkpoints],
            finish=write,
        )
    )


def _files(context: RunContext, upload: Upload) -> list[tuple[Path, str]]:
    local = context.work_dir / context.fill(upload.local)
    key = context.fill(upload.key).rstrip("/")
    if local.is_file():
        return [(local, key)]
    return [
        (path, f"{key}/{path.relative_to(local).as_posix()}")
        for path in sorted(local.rglob("*"))
        if path.is_file()
    ]
