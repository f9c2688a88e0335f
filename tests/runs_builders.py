"""Records of a run with defaults, for the tests of `runs/`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from container.contract.records import Artifact, Manifest, Metric, RunStatus, StageStatus, Verdict

BEAT = "2026-11-23T10:00:00+00:00"
STAGES = ("verify", "data", "tokenizer", "base", "sft", "eval", "report", "flush")


def status(**members: Any) -> RunStatus:
    """A run in the middle of base training."""
    current = members.get("stage", "base")
    at = STAGES.index(current) if current in STAGES else len(STAGES)
    defaults: dict[str, Any] = {
        "run": "main",
        "attempt": 1,
        "recipe": "rehearsal",
        "stage": "base",
        "stages": [
            StageStatus(
                name=name,
                state="done" if n < at else "running" if n == at else "waiting",
                elapsed_s=float(3 * n + 1) if n <= at else 0.0,
            )
            for n, name in enumerate(STAGES)
        ],
        "step": 120,
        "total_steps": 400,
        "loss": 3.2145,
        "tokens_per_s": 5120.0,
        "uploaded_bytes": 12_345_678,
        "pending_bytes": 1_200_000,
        "started_at": "2026-11-23T09:58:30+00:00",
        "beat_at": BEAT,
        "elapsed_s": 90.0,
        "dollars": 0.01,
    }
    return RunStatus(**{**defaults, **members})


def verdict(**members: Any) -> Verdict:
    """A run that succeeded."""
    defaults: dict[str, Any] = {
        "run": "main",
        "attempt": 1,
        "outcome": "succeeded",
        "stage": "flush",
        "reason": "all stages done",
        "exit_code": 0,
        "started_at": "2026-11-23T09:58:30+00:00",
        "ended_at": "2026-11-23T10:01:00+00:00",
        "elapsed_s": 150.0,
        "dollars": 0.02,
    }
    return Verdict(**{**defaults, **members})


def manifest(contents: Mapping[str, bytes], *, run: str = "main") -> Manifest:
    """The manifest of these objects, by key below the run prefix."""
    return Manifest(
        run=run,
        artifacts=[
            Artifact(key=key, size_bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
            for key, raw in contents.items()
        ],
    )


def metric(stage: str, step: int, **members: Any) -> Metric:
    """One step."""
    return Metric(stage=stage, step=step, at=BEAT, **members)


def jsonl(*metrics: Metric) -> bytes:
    """The bytes of one metric object."""
    return "".join(json.dumps(asdict(m)) + "\n" for m in metrics).encode()
