"""The run's past, for the page: the loss curve and the last status, read back from the bucket."""

from __future__ import annotations

import json
from typing import Any, cast

from container.board import Board
from container.bucket import Bucket, BucketError
from container.records import METRICS_PREFIX, STATUS_KEY, RecordError, RunStatus


def show_past(board: Board, bucket: Bucket) -> None:
    """Put what earlier attempts did on the board; a bucket that does not answer costs the view."""
    try:
        raw = bucket.get(STATUS_KEY)
        if raw is not None:
            board.adopt(RunStatus.from_json(raw))
        for key in bucket.list(METRICS_PREFIX):
            for line in (bucket.get(key) or b"").splitlines():
                point = _point(line)
                if point is not None:
                    board.add_point(*point)
    except (BucketError, RecordError):
        return


def _point(line: bytes) -> tuple[str, int, float] | None:
    try:
        found: object = json.loads(line)
    except ValueError:
        return None
    members = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    stage, step, loss = members.get("stage"), members.get("step"), members.get("loss")
    if isinstance(stage, str) and isinstance(step, int) and isinstance(loss, int | float):
        return stage, step, float(loss)
    return None
