"""A stack's run as vendor and bucket show it, asked directly; and waiting for what they show."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from container.contract.keys import STATUS_KEY, VERDICT_KEY
from container.contract.records import RunStatus, Verdict
from tests.e2e.scratch_stack import Cloud, ScratchStack

NewStack = Callable[..., ScratchStack]


def wait_for(condition: Callable[[], bool], *, what: str, within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.2)


def mine(cloud: Cloud, stack: ScratchStack) -> list[str]:
    return [name for name in cloud.live_deployments() if f"-{stack.name}-" in name]


def read(s3: Any, bucket: str, key: str) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def flat(said: str) -> str:
    """What is said, without the receipt's line breaks."""
    return re.sub(r"\s+", " ", said)


class Run:
    """The run of a stack that is up."""

    def __init__(self, stack: ScratchStack, cloud: Cloud) -> None:
        self._s3 = cloud.operator_s3()
        self.outputs = stack.outputs()
        self.deployment_id: str = self.outputs["deployment_id"]

    def get(self, key: str) -> bytes | None:
        try:
            return read(self._s3, self.outputs["bucket"], self._full(key))
        except self._s3.exceptions.NoSuchKey:
            return None

    def put(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self.outputs["bucket"], Key=self._full(key), Body=body)

    def status(self) -> RunStatus | None:
        raw = self.get(STATUS_KEY)
        return RunStatus.from_json(raw) if raw else None

    def verdict(self) -> Verdict | None:
        raw = self.get(VERDICT_KEY)
        return Verdict.from_json(raw) if raw else None

    def trains_at(self, step: int, *, attempt: int) -> bool:
        now = self.status()
        return now is not None and now.attempt == attempt and (now.step or 0) >= step

    def _full(self, key: str) -> str:
        return f"{self.outputs['r2_prefix']}/{key}"
