"""Which checkpoint steps on disk are complete, and the marker that makes one count in the bucket.

nanochat writes a step in place and without a marker (model, meta, optimizer of each rank, no
barrier), and its loaders take the highest number by name: hence the checks, and hence the removal
of broken files before a stage is started again.
"""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from container.contract.keys import MarkerKey
from container.contract.recipe import Upload
from container.contract.records import Artifact, Record

_MODEL = re.compile(r"model_(\d{6,})\.pt")
_STEP_FILE = re.compile(r"(?:model|meta|optim)_(\d{6,})(?:_rank\d+)?\.(?:pt|json)")


@dataclass(frozen=True)
class LocalStep:
    """A complete step on disk; the model comes first."""

    folder: Path
    step: int
    files: tuple[Path, ...]

    @property
    def tag(self) -> str:
        return self.folder.name

    def signature(self) -> tuple[tuple[int, int], ...]:
        """Return sizes and times: equal in two looks means that nobody is writing."""
        stats = [path.stat() for path in self.files]
        return tuple((one.st_size, one.st_mtime_ns) for one in stats)

    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)


@dataclass(frozen=True, kw_only=True)
class CheckpointMarker(Record):
    """`complete_<step>.json` beside a step's files, written after all of them."""

    stage: str
    tag: str
    step: int
    world_size: int
    attempt: int
    artifacts: list[Artifact] = field(default_factory=list[Artifact])

    @classmethod
    def _from_members(cls, members: dict[str, Any]) -> Self:
        return super()._from_members({**members, "artifacts": cls._artifacts(members)})

    @property
    def key(self) -> str:
        """The marker's own key: beside its files."""
        folder = self.artifacts[0].key.rpartition("/")[0] if self.artifacts else ""
        return MarkerKey(folder=folder, step=self.step).key


def complete_steps(folder: Path, upload: Upload, *, world_size: int) -> list[LocalStep]:
    """Return the complete steps of one tag folder, oldest first."""
    steps: list[LocalStep] = []
    for path in _listing(folder):
        match = _MODEL.fullmatch(path.name)
        if match is None:
            continue
        files = _expected(folder, match[1], upload, world_size=world_size)
        if all(_whole(file) for file in files):
            steps.append(LocalStep(folder, int(match[1]), tuple(files)))
    return sorted(steps, key=lambda step: step.step)


def remove_broken(folder: Path, upload: Upload, *, world_size: int) -> list[int]:
    """Delete files of steps that are not complete; return those steps. Nobody may be writing."""
    whole = {step.step for step in complete_steps(folder, upload, world_size=world_size)}
    broken: set[int] = set()
    for path in _listing(folder):
        match = _STEP_FILE.fullmatch(path.name)
        if match and int(match[1]) not in whole:
            broken.add(int(match[1]))
            path.unlink(missing_ok=True)
    return sorted(broken)


def _expected(folder: Path, digits: str, upload: Upload, *, world_size: int) -> list[Path]:
    ranks = {"every rank": world_size, "first rank": 1, "none": 0}[upload.optimizer_files]
    return [
        folder / f"model_{digits}.pt",
        folder / f"meta_{digits}.json",
        *(folder / f"optim_{digits}_rank{rank}.pt" for rank in range(ranks)),
    ]


def _whole(path: Path) -> bool:
    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())  # a bare Infinity, as nanochat writes it, is accepted
            return True
        return zipfile.is_zipfile(path)  # .pt is a zip archive; its directory is written last
    except (OSError, ValueError):
        return False


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
