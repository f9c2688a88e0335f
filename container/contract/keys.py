"""The layout of a run prefix: where each object lies, built and read back in one place; no I/O.

Keys are relative to the run prefix. Those of segments and attempts are also recognised behind one,
as the operator lists whole buckets. Keys of artefacts are the recipe's (`Upload.key`). Standard
library only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

RUN_KEY = "run.json"
CLAIM_KEY = "claim.json"
STATUS_KEY = "status.json"
MANIFEST_KEY = "manifest.json"
LEASE_KEY = "lease.json"
VERDICT_KEY = "verdict.json"
STOP_KEY = "stop.json"  # the operator's, as the next; all others are written by the run
BOUGHT_KEY = "bought.json"

ATTEMPTS_PREFIX = "attempts/"
STAGES_PREFIX = "stages/"
METRICS_PREFIX = "metrics/"
LOGS_PREFIX = "logs/"
CHECKPOINTS_PREFIX = "checkpoints/"
TOKENIZER_PREFIX = "tokenizer/"
MODEL_PREFIX = "model/"
MODEL_README_KEY = f"{MODEL_PREFIX}README.md"
PROBE_PREFIX = "probe-"
VERDICTS_PREFIX = "verdicts/"  # those that were set aside

_ATTEMPT = re.compile(rf"(?:.*/)?{ATTEMPTS_PREFIX}(\d+)\.json")
_MENDED = re.compile(rf"{VERDICTS_PREFIX}(\d+)-failed\.json")
_METRICS = re.compile(rf"(?:.*/)?{METRICS_PREFIX}(\d+)-(\d+)\.jsonl")
_LOG = re.compile(rf"(?:.*/)?{LOGS_PREFIX}(\d+)-([^/]+)-(\d+)\.log")
_CHECKPOINT = re.compile(rf"{CHECKPOINTS_PREFIX}([^/]+)/[^/]+/(model|meta)_\d{{6,}}(\.[a-z]+)")
_MARKER = re.compile(rf"({CHECKPOINTS_PREFIX}.+)/complete_(\d{{6,}})\.json")


def attempt_key(attempt: int) -> str:
    """Return where the record of an attempt lies."""
    return f"{ATTEMPTS_PREFIX}{attempt}.json"


def attempt_of(key: str) -> int | None:
    """Return the number of the attempt whose record this is, None for any other key."""
    match = _ATTEMPT.fullmatch(key)
    return int(match[1]) if match else None


def stage_key(stage: str) -> str:
    """Return where the record of a stage lies: that it is done, or its smaller batch size."""
    return f"{STAGES_PREFIX}{stage}.json"


def model_key(key: str) -> str | None:
    """Return the stable name in `model/` of what a finished stage left, None for what is not there.

    `checkpoints/sft/d20/model_000809.pt` is `model/sft.pt`, its meta file `model/sft.json`; the
    tokenizer's files keep their names. Optimizer files are for training on.
    """
    if key.startswith(TOKENIZER_PREFIX) and key != TOKENIZER_PREFIX:
        return MODEL_PREFIX + key.removeprefix(TOKENIZER_PREFIX)
    match = _CHECKPOINT.fullmatch(key)
    return f"{MODEL_PREFIX}{match[1]}{match[3]}" if match else None


def stopped_key(attempt: int) -> str:
    """Return where the verdict `stopped` of an attempt is kept when the run goes on."""
    return f"{VERDICTS_PREFIX}{attempt}-stopped.json"


def mended_key(attempt: int) -> str:
    """Return where the verdict `failed` of an attempt is kept when its cause was mended."""
    return f"{VERDICTS_PREFIX}{attempt}-failed.json"


def mended_attempt_of(key: str) -> int | None:
    """Return the attempt whose verdict `failed` is kept here, None for any other key."""
    match = _MENDED.fullmatch(key)
    return int(match[1]) if match else None


@dataclass(frozen=True, kw_only=True)
class MetricSegment:
    """Some lines of the loss curve; segments of an attempt are written in order of `sequence`."""

    attempt: int
    sequence: int = 0

    @property
    def key(self) -> str:
        return f"{METRICS_PREFIX}{self.attempt}-{self.sequence:05d}.jsonl"

    @classmethod
    def parse(cls, key: str) -> Self | None:
        """Read a key back; None for one of another kind."""
        match = _METRICS.fullmatch(key)
        return cls(attempt=int(match[1]), sequence=int(match[2])) if match else None


@dataclass(frozen=True, kw_only=True)
class LogSegment:
    """Some lines of one stage's output; a stage's name may contain dashes and digits."""

    attempt: int
    stage: str
    sequence: int = 0

    @property
    def key(self) -> str:
        return f"{LOGS_PREFIX}{self.attempt}-{self.stage}-{self.sequence:05d}.log"

    @classmethod
    def parse(cls, key: str) -> Self | None:
        """Read a key back; None for one of another kind."""
        match = _LOG.fullmatch(key)
        if match is None:
            return None
        return cls(attempt=int(match[1]), stage=match[2], sequence=int(match[3]))


@dataclass(frozen=True, kw_only=True)
class MarkerKey:
    """The marker that makes a checkpoint step count: in the folder of the step's files."""

    folder: str  # "checkpoints/<stage>/<tag>"
    step: int

    @property
    def stage(self) -> str:
        """The stage whose step it is."""
        return self.folder.split("/")[1]

    @property
    def key(self) -> str:
        return f"{self.folder}/complete_{self.step:06d}.json"

    @classmethod
    def parse(cls, key: str) -> Self | None:
        """Read a key back; None for one of another kind."""
        match = _MARKER.fullmatch(key)
        return cls(folder=match[1], step=int(match[2])) if match else None
