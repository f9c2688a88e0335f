"""What of the past may still be used, as damage comes to light."""

from __future__ import annotations

from dataclasses import replace

from container.contract.records import Artifact
from container.storage.checkpoints import CheckpointMarker
from container.storage.resume import PastAttempts, Reusable, StageRecord


def marker(stage: str, step: int) -> CheckpointMarker:
    key = f"checkpoints/{stage}/d2/model_{step:06d}.pt"
    artifact = Artifact(key=key, size_bytes=1, sha256="0")
    return CheckpointMarker(
        stage=stage, tag="d2", step=step, world_size=1, attempt=1, artifacts=[artifact]
    )


def record(stage: str) -> StageRecord:
    return StageRecord(stage=stage, done=True, attempt=1)


PAST = PastAttempts(
    attempt=2,
    earlier_s=60.0,
    run=None,
    stages={name: record(name) for name in ("tokenizer", "base", "sft")},
    markers={"base": (marker("base", 4), marker("base", 2)), "sft": (marker("sft", 6),)},
    artifacts=(),
    points=("tokenizer@0",),
    notes=(),
)


def test_what_is_forgotten_is_no_longer_used_and_the_past_stays_what_it_was() -> None:
    reusable = Reusable(PAST)
    reusable.forget_stages(["base", "sft", "one that left nothing"])
    reusable.forget_marker(marker("base", 4))
    reusable.forget_marker(marker("eval", 1))
    assert [name for name in PAST.stages if reusable.done(name)] == ["tokenizer"]
    assert reusable.markers("base") == (marker("base", 2),)
    assert PAST.done("base")
    assert PAST.markers["base"] == (marker("base", 4), marker("base", 2))


def test_a_stage_that_only_had_to_shrink_is_not_done() -> None:
    shrunk = replace(record("base"), done=False, device_batch_size=4)
    reusable = Reusable(replace(PAST, stages={"base": shrunk}))
    assert not reusable.done("base")
    assert reusable.record("base") == shrunk


def test_a_damaged_artefact_leads_to_the_checkpoints_that_vouch_for_it() -> None:
    reusable = Reusable(PAST)
    damaged = {artifact.key for artifact in marker("sft", 6).artifacts}
    assert reusable.markers_of(damaged | {"tokenizer/tokenizer.pkl"}) == [marker("sft", 6)]
