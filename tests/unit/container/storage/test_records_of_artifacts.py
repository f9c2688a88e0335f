"""Whatever record lists artefacts, a damaged list is a damaged record, not a crash."""

from __future__ import annotations

import json

import pytest

from container.contract.records import Manifest, Record, RecordError
from container.storage.checkpoints import CheckpointMarker
from container.storage.resume import StageRecord

OTHERS = {"schema": 1, "run": "main", "stage": "base", "done": True, "attempt": 1, "tag": "d4"}
OTHERS |= {"step": 40, "world_size": 1}


@pytest.mark.parametrize("kind", [Manifest, CheckpointMarker, StageRecord])
@pytest.mark.parametrize(
    "artifact", [{"key": "a"}, "a", None, {"key": "a", "size_bytes": "x", "sha256": "s"}], ids=str
)
def test_a_record_with_a_damaged_artefact_cannot_be_read(
    kind: type[Record], artifact: object
) -> None:
    with pytest.raises(RecordError, match=f"{kind.__name__}: bad artifact"):
        kind.from_json(json.dumps({**OTHERS, "artifacts": [artifact]}))


@pytest.mark.parametrize("kind", [Manifest, CheckpointMarker, StageRecord])
def test_what_a_later_release_adds_to_an_artefact_is_ignored(kind: type[Record]) -> None:
    later = {"key": "a", "size_bytes": 1, "sha256": "s", "of_a_later_release": 1}
    read = kind.from_json(json.dumps({**OTHERS, "artifacts": [later]}))
    assert json.loads(read.to_json())["artifacts"] == [{"key": "a", "size_bytes": 1, "sha256": "s"}]
