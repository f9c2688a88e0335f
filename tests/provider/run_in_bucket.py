"""A run as its bucket shows it, and a thread in its container's place: it answers an order."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from container.contract.records import Artifact, Lease, Manifest
from container.contract.stop_order import StopOrder
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.runs_builders import jsonl, metric, status, verdict

CHECKPOINT = {
    "checkpoints/base/d2/model_000040.pt": b"weights",
    "checkpoints/base/d2/meta_000040.json": b"{}",
}
WAITS = {"stopping": "the save of step 40", "next_save_step": 40, "next_save_s": 190.0}
OF_ORDERS = tuple(WAITS)  # members that older releases lack


@dataclass(frozen=True, kw_only=True)
class RunInBucket:
    """One prefix."""

    r2: FakeR2
    prefix: str

    def path(self, key: str) -> str:
        """The object's path, as the stand-in keeps it."""
        return f"/{BUCKET}/{self.prefix}/{key}"

    def put(self, key: str, body: bytes, *, age_s: float = 0.0) -> None:
        self.r2.ages_s[self.path(key)] = age_s
        self.r2.objects[self.path(key)] = body

    def trains(self, *, beat_age_s: float = 0.0, **members: Any) -> None:
        """Lease and status of a run that trains; up to step 23, with no checkpoint yet."""
        lease = Lease(holder="one", attempt=1, beat_at="2026-11-28T12:00:00Z")
        self.put("lease.json", lease.to_json())
        self.put("status.json", status(step=23, **members).to_json(), age_s=beat_age_s)
        self.put("metrics/1-00000.jsonl", jsonl(metric("base", 23, loss=3.0, dt_ms=10.0)))

    def is_of_an_older_release(self) -> None:
        """Its container knows no orders, and its status nothing of them."""
        members = json.loads(self.r2.objects[self.path("status.json")])
        kept = {name: value for name, value in members.items() if name not in OF_ORDERS}
        self.put("status.json", json.dumps(kept).encode())

    def saves_and_ends(self, *, steps: int = 40) -> None:
        """Leave what a supervisor leaves that was told to stop."""
        for key, body in CHECKPOINT.items():
            self.put(key, body)
        listed = [artifact(key, body) for key, body in CHECKPOINT.items()]
        marker = Manifest(run="main", artifacts=listed).to_json()
        self.put("checkpoints/base/d2/complete_000040.json", marker)
        self.put("metrics/1-00001.jsonl", jsonl(metric("base", steps - 1, loss=2.9, dt_ms=10.0)))
        self.put("manifest.json", marker)
        ended = verdict(outcome="stopped", stage="base", reason="asked")
        self.put("verdict.json", ended.to_json())

    @contextmanager
    def container(self, *, answers: Callable[[StopOrder], None]) -> Iterator[list[StopOrder]]:
        """Answer the order when it comes, as the supervisor's watch does."""
        ended, seen = threading.Event(), list[StopOrder]()

        def work() -> None:
            while not ended.wait(0.02):
                raw = self.r2.objects.get(self.path("stop.json"))
                if raw is not None and not seen:
                    seen.append(StopOrder.from_json(raw))
                    answers(seen[0])

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


def artifact(key: str, body: bytes) -> Artifact:
    return Artifact(key=key, size_bytes=len(body), sha256="0" * 64)
