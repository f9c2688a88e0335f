"""Which container trains: one object, only ever written under a condition.

A holder beats; another container waits until the object has not changed for `ttl_s` of its own
clock (clocks are never compared), then takes over. A holder whose beats have not arrived for
`ttl_s` stops writing until one does, and stops training when it learns that it was replaced.
"""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from container.contract.clock import Clock
from container.contract.keys import LEASE_KEY
from container.contract.records import Lease, RecordError
from container.storage.bucket import BucketError, ObjectChangedError, RunBucket

TTL_S = 45.0
BEAT_S = 10.0  # R2 allows one write a second to a key


class LeaseKeeper:
    """Acquires, renews and releases the lease of one prefix."""

    def __init__(
        self,
        bucket: RunBucket,
        *,
        holder: str,
        clock: Clock,
        ttl_s: float = TTL_S,
        beat_s: float = BEAT_S,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._bucket = bucket
        self._holder = holder
        self._clock = clock
        self._ttl_s = ttl_s
        self._beat_s = beat_s
        self._on_lost = on_lost
        self._etag = ""
        self._renewed_at = 0.0
        self.attempt = 0
        self._lost = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def try_acquire(self, *, say: Callable[[str], None]) -> bool:
        """Try once; False when somebody else holds it. Raises BucketError when that is unknown."""
        found = self._bucket.get_with_etag(LEASE_KEY)
        if found is None:
            return self._write(absent=True)
        holder = _holder(found[0])
        if holder in ("", self._holder):
            return self._write(etag=found[1])  # released, or this very container started again
        say(f"another container ({holder}) holds this run; waiting for it")
        return False

    def acquire(self, *, stop: threading.Event, say: Callable[[str], None]) -> bool:
        """Wait until this container holds the lease; False when `stop` was set first."""
        # Not `storage.retry`: most rounds get an answer, and what is waited for is the other's end.
        seen_etag, seen_at, said = "", self._clock.monotonic(), False
        while not stop.is_set():
            try:
                if self.try_acquire(say=(lambda _: None) if said else say):
                    return True
                said = True
                found = self._bucket.get_with_etag(LEASE_KEY)
                etag = found[1] if found else ""
                if etag != seen_etag:
                    seen_etag, seen_at = etag, self._clock.monotonic()
                elif etag and self._clock.monotonic() - seen_at > self._ttl_s:
                    say(f"the other container has been silent for {self._ttl_s:.0f} s: taking over")
                    if self._write(etag=etag):
                        return True
            except BucketError as error:
                say(f"the lease cannot be read: {error}; retrying")
            stop.wait(min(self._beat_s, 5.0))
        return False

    def keep(self) -> None:
        """Start renewing from a thread."""
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    def may_write(self) -> bool:
        """Whether the last renewal is fresh enough that nobody else can have taken over."""
        return not self._lost and self._clock.monotonic() - self._renewed_at < self._ttl_s

    def release(self) -> None:
        """Let the next container start at once; silent when the bucket does not answer."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None
        if self._lost or not self._etag:
            return
        record = Lease(holder="", attempt=self.attempt, beat_at=self._clock.stamp())
        try:
            self._bucket.put(LEASE_KEY, record.to_json(), only_if_etag=self._etag)
        except BucketError:
            return

    def _beat(self) -> None:
        while not self._stopping.wait(self._beat_s):
            # The bucket, or an answer that nobody foresaw: unknown is not lost.
            with suppress(Exception):
                if not self._write(etag=self._etag) and not self._mine_after_all():
                    self._lost = True
                    self._on_lost()
                    return

    def _mine_after_all(self) -> bool:
        """A write whose answer was lost changes the ETag: look before giving up."""
        found = self._bucket.get_with_etag(LEASE_KEY)
        if found is None or _holder(found[0]) != self._holder:
            return False
        self._etag = found[1]
        return self._write(etag=found[1])

    def _write(self, *, etag: str = "", absent: bool = False) -> bool:
        begin = self._clock.monotonic()
        record = Lease(holder=self._holder, attempt=self.attempt, beat_at=self._clock.stamp())
        try:
            self._etag = self._bucket.put(
                LEASE_KEY, record.to_json(), only_if_absent=absent, only_if_etag=etag
            )
        except ObjectChangedError:
            return False
        self._renewed_at = begin
        return True


def container_id(work_dir: Path) -> str:
    """Return a name for this container: the same when it is started again, unlike any other."""
    path = work_dir / ".trainstack" / "container-id"
    try:
        return path.read_text().strip()
    except OSError:
        name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    except OSError:
        return name  # a full disk: after a restart the lease has to run out first
    return name


def _holder(raw: bytes) -> str:
    try:
        return Lease.from_json(raw).holder
    except RecordError:
        return "unreadable"
