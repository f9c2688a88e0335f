"""The end of a run: the manifest of all that is of value, then the verdict, once and last."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from container.contract.clock import Clock
from container.contract.keys import (
    ATTEMPTS_PREFIX,
    LOGS_PREFIX,
    MANIFEST_KEY,
    METRICS_PREFIX,
    RUN_KEY,
    STAGES_PREFIX,
    VERDICT_KEY,
    MarkerKey,
    stopped_key,
)
from container.contract.records import Artifact, Manifest, Verdict
from container.storage.bucket import (
    BucketClockError,
    BucketError,
    BucketRefusedError,
    BucketUnavailableError,
    ObjectChangedError,
    RunBucket,
)
from container.storage.retry import (
    STEADY_PAUSE_S,
    EndedError,
    doubling,
    pause,
    retry_briefly,
    retry_until,
)

T = TypeVar("T")

CALLS_AT_ONCE = 8
REFUSED_LONG_S = 120.0  # a new token may take a minute to work everywhere
REFUSED_PAUSE_S = 10.0
CLOCK_LONG_S = (
    30.0  # one server's wrong date may pass; a machine that cannot sign bills for nothing
)
# Small objects whose hash is asked of the bucket when this attempt did not write them.
_SMALL = (LOGS_PREFIX, METRICS_PREFIX, ATTEMPTS_PREFIX, STAGES_PREFIX)


def write_manifest(
    bucket: RunBucket,
    *,
    run: str,
    known: dict[str, Artifact],
    ask_for_unknown: bool = True,
    give_up: Callable[[], bool] = lambda: False,
) -> Manifest:
    """List what is in the bucket with size and hash, and write that; raises BucketError.

    Only objects whose hash is known are listed: leftovers of an unfinished checkpoint are not.
    Hashes that had to be asked for are added to `known`: a second call need not ask again. A run of
    hours leaves thousands of log segments, too many to be asked for within a grace period.
    """
    sizes = retry_briefly(bucket.list, give_up=give_up)

    def is_known(key: str) -> bool:
        return key in known and known[key].size_bytes == sizes[key]

    def ask(key: str) -> None:
        if give_up():
            raise BucketUnavailableError("given up")
        digest = retry_briefly(lambda: _sha256(bucket, key), give_up=give_up)
        known[key] = Artifact(key=key, size_bytes=sizes[key], sha256=digest)

    small = [key for key in sizes if _is_small(key) and ask_for_unknown and not is_known(key)]
    with ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="manifest") as pool:
        list(pool.map(ask, small))
    manifest = Manifest(run=run, artifacts=[known[key] for key in sizes if is_known(key)])
    retry_briefly(lambda: bucket.put(MANIFEST_KEY, manifest.to_json()), give_up=give_up)
    return manifest


def settle(
    bucket: RunBucket,
    verdict: Verdict,
    *,
    known: dict[str, Artifact],
    may_write: Callable[[], bool],
    give_up: Callable[[], bool],
    say: Callable[[str], None],
) -> Verdict | None:
    """Write manifest and verdict, however long that takes; None when it was given up."""

    def write() -> Verdict:
        _require_lease(may_write)
        write_manifest(
            bucket,
            run=verdict.run,
            known=known,
            ask_for_unknown=verdict.outcome != "stopped",
            give_up=give_up,
        )
        if verdict.outcome != "stopped":  # that one may go on, with the parts that arrived
            _abort_uploads(bucket, say=say)
        _require_lease(may_write)  # thousands of hashes may have been asked for since
        return retry_briefly(lambda: write_verdict(bucket, verdict), give_up=give_up)

    try:
        held = retry_until(
            write,
            ended=give_up,
            wait=lambda seconds: pause(seconds, ended=give_up),
            pauses=doubling(),
            say=lambda error: say(f"the verdict waits: {error}; retrying"),
        )
    except EndedError:
        return None
    say(f"verdict written: {held.outcome}")
    return held


def write_verdict(bucket: RunBucket, verdict: Verdict) -> Verdict:
    """Write the verdict if there is none; return the one that holds; raises BucketError."""
    try:
        bucket.put(VERDICT_KEY, verdict.to_json(), only_if_absent=True)
    except ObjectChangedError:
        return read_verdict(bucket) or verdict
    return verdict


def set_aside(bucket: RunBucket, verdict: Verdict) -> None:
    """Keep a verdict `stopped` under another name, so that the run can go on; BucketError."""
    retry_briefly(lambda: bucket.put(stopped_key(verdict.attempt), verdict.to_json()))
    retry_briefly(lambda: bucket.delete(VERDICT_KEY))


def read_verdict(bucket: RunBucket) -> Verdict | None:
    """Return the verdict, None when there is none; raises BucketError or RecordError."""
    raw = bucket.get(VERDICT_KEY)
    return Verdict.from_json(raw) if raw is not None else None


def _is_small(key: str) -> bool:
    return key == RUN_KEY or key.startswith(_SMALL) or MarkerKey.parse(key) is not None


def first_answer(
    call: Callable[[], T], *, stop: threading.Event, clock: Clock, say: Callable[[str], None]
) -> T:
    """Return what a container asks the bucket first; asks until it answers.

    A token can be mended while the machine waits. A new one may take a minute to work, so its
    refusals are called that only after a while. A clock that cannot be corrected is not waited for.
    Raises BucketClockError, EndedError at a stop, and what is no BucketError.
    """
    refusals = _Refusals(clock, BucketRefusedError, long_s=REFUSED_LONG_S)
    wrong_times = _Refusals(clock, BucketClockError, long_s=CLOCK_LONG_S)
    said = ""

    def say_once(error: BucketError) -> None:
        nonlocal said
        refusals.count(error)
        wrong_times.count(error)
        if wrong_times.last_long:
            raise error
        word = "refused, asking again" if refusals.last_long else "waiting for the bucket"
        if (text := f"{word}: {error}") != said:
            said = text
            say(text)

    return retry_until(
        call,
        ended=stop.is_set,
        wait=stop.wait,
        pauses=refusals.pauses(),
        say=say_once,
    )


def _require_lease(may_write: Callable[[], bool]) -> None:
    if not may_write():
        raise BucketUnavailableError("the lease was not renewed in time")


def _abort_uploads(bucket: RunBucket, *, say: Callable[[str], None]) -> None:
    """Abort uploads that nobody will complete: their parts would be stored, and billed, unseen."""
    try:
        aborted = retry_briefly(bucket.abort_uploads)
    except BucketError as error:
        say(f"unfinished uploads stay in the bucket: {error}")
        return
    if aborted:
        say(f"aborted uploads that were never completed: {', '.join(aborted)}")


def _sha256(bucket: RunBucket, key: str) -> str:
    head = bucket.head(key)
    known = head[1].get("sha256", "") if head else ""
    return known or hashlib.sha256(bucket.get(key) or b"").hexdigest()


class _Refusals:
    """For how long the bucket has answered with nothing but one kind of refusal."""

    def __init__(self, clock: Clock, kind: type[BucketError], *, long_s: float) -> None:
        self._clock = clock
        self._kind = kind
        self._long_s = long_s
        self._since: float | None = None
        self.last_long = False

    def count(self, error: BucketError) -> None:
        now = self._clock.monotonic()
        if not isinstance(error, self._kind):
            self._since = None
        elif self._since is None:
            self._since = now
        self.last_long = self._since is not None and now - self._since > self._long_s

    def pauses(self) -> Iterator[float]:
        while True:
            yield REFUSED_PAUSE_S if self.last_long else STEADY_PAUSE_S
