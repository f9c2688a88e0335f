"""The layout of a run prefix: what is built is read back, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.contract.keys import (
    LogSegment,
    MarkerKey,
    MetricSegment,
    attempt_key,
    attempt_of,
    mended_attempt_of,
    mended_key,
    model_key,
    stage_key,
    stopped_key,
)

numbers = st.integers(0, 10**8)
names = st.from_regex(r"[a-z0-9_]+(-[a-z0-9_]+)*", fullmatch=True)
prefixes = st.sampled_from(["", "dev-main-0a1b2c3d/", "logs/", "a/metrics/1-2/", "attempts/"])


@given(numbers, prefixes)
def test_an_attempts_key_is_read_back_also_behind_a_run_prefix(attempt: int, prefix: str) -> None:
    assert attempt_of(prefix + attempt_key(attempt)) == attempt


@given(numbers, numbers, prefixes)
def test_a_metric_segments_key_is_read_back(attempt: int, sequence: int, prefix: str) -> None:
    segment = MetricSegment(attempt=attempt, sequence=sequence)
    assert MetricSegment.parse(prefix + segment.key) == segment


@given(numbers, names, numbers, prefixes)
def test_a_log_segments_key_is_read_back_whatever_its_stage_is_called(
    attempt: int, stage: str, sequence: int, prefix: str
) -> None:
    segment = LogSegment(attempt=attempt, stage=stage, sequence=sequence)
    assert LogSegment.parse(prefix + segment.key) == segment


@given(names, names, numbers)
def test_a_markers_key_is_read_back(stage: str, tag: str, step: int) -> None:
    marker = MarkerKey(folder=f"checkpoints/{stage}/{tag}", step=step)
    assert MarkerKey.parse(marker.key) == marker


def test_keys_stand_where_earlier_versions_wrote_them() -> None:
    """A running image keeps its layout, and readers of old runs theirs."""
    assert attempt_key(12) == "attempts/12.json"
    assert stage_key("base_eval") == "stages/base_eval.json"
    assert stopped_key(3) == "verdicts/3-stopped.json"
    assert mended_key(3) == "verdicts/3-failed.json"
    assert [mended_attempt_of(key) for key in (mended_key(12), stopped_key(3))] == [12, None]
    assert MetricSegment(attempt=2, sequence=7).key == "metrics/2-00007.jsonl"
    assert LogSegment(attempt=2, stage="base", sequence=7).key == "logs/2-base-00007.log"
    marker = MarkerKey(folder="checkpoints/base/d20", step=100)
    assert marker.key == "checkpoints/base/d20/complete_000100.json"


@pytest.mark.parametrize(
    "key",
    [
        "attempts/one.json",
        "attempts/1.json.download",
        "metrics/1-2-3.jsonl",
        "metrics/readme.txt",
        "logs/1-base.log",
        "logs/1-base-00000.log/more",
        "tokenizer/complete_000100.json",
        "checkpoints/base/d20/model_000100.pt",
        "checkpoints/complete_000100.json",
    ],
)
def test_strangers_are_none_of_ours(key: str) -> None:
    assert attempt_of(key) is None
    assert MetricSegment.parse(key) is None
    assert LogSegment.parse(key) is None
    assert MarkerKey.parse(key) is None


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("checkpoints/base/d20/model_021400.pt", "model/base.pt"),
        ("checkpoints/mid/d20/meta_000809.json", "model/mid.json"),
        ("checkpoints/sft/d4/model_000006.pt", "model/sft.pt"),
        ("checkpoints/sft/d4/optim_000006_rank0.pt", None),
        ("checkpoints/sft/d4/complete_000006.json", None),
        ("tokenizer/tokenizer.pkl", "model/tokenizer.pkl"),
        ("tokenizer/", None),
        ("report/report.md", None),
        ("base_eval/base_model_000006.csv", None),
    ],
)
def test_what_a_stage_left_has_one_stable_name_or_none(key: str, name: str | None) -> None:
    assert model_key(key) == name
