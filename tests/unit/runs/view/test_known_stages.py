"""A stage or an attempt that a run has not is told from one that is still to come."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from container.contract.records import RunRecord
from runs.errors import NoSuchRunError
from runs.source.stack import Target
from runs.view import known_stages
from tests.runs_builders import status, verdict
from tests.unit.runs.in_memory_bucket import InMemoryBucket

TARGET = Target(run="main", prefix="p")
RECORD = RunRecord(run="main", recipe="rehearsal", settings={}).to_json()
STATUS = status().to_json()


def check(stage: str, objects: Mapping[str, bytes], seen: tuple[str, ...] = ()) -> None:
    stored = {f"p/{key}": raw for key, raw in objects.items()}
    bucket = InMemoryBucket(stored).opened()
    known_stages.check_stage(stage, TARGET, bucket=bucket, seen=seen)


@pytest.mark.parametrize(
    "objects",
    [{}, {"status.json": STATUS}, {"run.json": RECORD}, {"run.json": b"{", "status.json": STATUS}],
    ids=["nothing is written", "a status", "the record", "a damaged record"],
)
def test_a_mistyped_stage_is_said_to_be_none_with_the_nearest_first(
    objects: Mapping[str, bytes],
) -> None:
    """As in https://github.com/pachyderm/pachyderm/issues/419"""
    with pytest.raises(NoSuchRunError, match="no stage 'bsae'") as caught:
        check("bsae", objects)
    assert "the nearest first: base" in str(caught.value)


@pytest.mark.parametrize("objects", [{}, {"status.json": STATUS}, {"run.json": RECORD}])
def test_a_stage_of_the_recipe_that_has_not_begun_is_still_to_come(
    objects: Mapping[str, bytes],
) -> None:
    check("sft", objects)


def test_a_stage_that_only_its_output_names_is_known() -> None:
    check("of-an-older-recipe", {"run.json": RECORD}, seen=("of-an-older-recipe",))


def test_an_attempt_that_there_was_not_is_said_with_those_that_there_were() -> None:
    bucket = InMemoryBucket({"p/attempts/1.json": b"{}", "p/attempts/10.json": b"{}"}).opened()
    known_stages.check_attempt(10, TARGET, bucket=bucket)
    with pytest.raises(NoSuchRunError, match="no attempt 7") as caught:
        known_stages.check_attempt(7, TARGET, bucket=bucket)
    assert "1, 10" in str(caught.value)


def test_only_a_run_without_a_verdict_may_still_write() -> None:
    ended = InMemoryBucket({"p/verdict.json": verdict().to_json()}).opened()
    assert known_stages.not_yet(TARGET, bucket=ended) == ""
    assert known_stages.not_yet(TARGET, bucket=InMemoryBucket().opened()) == " yet"
