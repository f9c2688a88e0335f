"""The run's past, for the page: the loss curve and the last status, read back from the bucket."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from container.contract.keys import METRICS_PREFIX, STATUS_KEY
from container.contract.metrics import in_order, merge, parse
from container.contract.records import RunStatus
from container.storage.bucket import BucketError, RunBucket
from container.telemetry.run_status import LiveStatus

READS_AT_ONCE = 8


def show_past(live_status: LiveStatus, bucket: RunBucket) -> threading.Thread:
    """Show what earlier attempts did; a bucket that does not answer costs the view of it.

    The curve, thousands of objects after some hours, is read in the thread that is returned:
    nothing waits for it.
    """
    # A status that another hand wrote may have anything in it: a look back must not end the run.
    with suppress(Exception):
        raw = bucket.get(STATUS_KEY)
        if raw is not None:
            live_status.adopt(RunStatus.from_json(raw))
    thread = threading.Thread(
        target=_read_curve, args=(live_status, bucket), name="past", daemon=True
    )
    thread.start()
    return thread


def _read_curve(live_status: LiveStatus, bucket: RunBucket) -> None:
    try:
        with ThreadPoolExecutor(READS_AT_ONCE, thread_name_prefix="past") as pool:
            segments = list(pool.map(bucket.get, in_order(bucket.list(METRICS_PREFIX))))
    except BucketError:
        return
    with suppress(Exception):  # as above
        history = merge(metric for segment in segments for metric in parse(segment or b""))
        live_status.add_past(
            [(one.stage, one.step, one.loss) for one in history if one.loss is not None]
        )
