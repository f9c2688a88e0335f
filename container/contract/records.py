"""The run's records: what stands under a run prefix in the bucket, as types; no I/O, no keys.

Writers are the supervisor's; readers are the supervisor, `runs/`, `components/` and `localcloud/`.
Each JSON object carries `schema`; a reader accepts its own version and older ones, and ignores
members that it does not know. Standard library only: this module runs on the paid machine.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from container.contract.typed_json import typed

SCHEMA = 1
_NO_SCHEMA = 10**6  # no release counts that far

Outcome = Literal["succeeded", "failed", "stopped"]
StageState = Literal["waiting", "running", "done", "skipped", "failed"]


class RecordError(ValueError):
    """A stored record cannot be read: no JSON object, a member missing, or a newer schema."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of all records: `schema` first, JSON both ways."""

    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """Return the record as UTF-8 JSON, one object, with a final newline."""
        return (json.dumps(dataclasses.asdict(self), indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, raw: bytes | str) -> Self:
        """Parse a stored record; raise RecordError when it is of another kind or too new."""
        try:
            parsed = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{cls.__name__}: not JSON ({error})") from None
        if not isinstance(parsed, dict):
            raise RecordError(f"{cls.__name__}: not a JSON object")
        members = typing.cast("dict[str, Any]", parsed)
        schema = members.get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool) or schema > SCHEMA:
            named = schema if isinstance(schema, int) and schema < _NO_SCHEMA else "not a number"
            raise RecordError(f"{cls.__name__}: schema {named}, this program reads up to {SCHEMA}")
        return cls._from_members(members)

    @classmethod
    def _from_members(cls, members: dict[str, Any]) -> Self:
        try:
            return typed(cls, members)
        except ValueError as error:
            raise RecordError(f"{cls.__name__}: {error}") from None

    @classmethod
    def _artifacts(cls, members: dict[str, Any]) -> list[Artifact]:
        try:
            return [typed(Artifact, one) for one in members.get("artifacts", [])]
        except (TypeError, ValueError) as error:
            raise RecordError(f"{cls.__name__}: bad artifact ({error})") from None


@dataclass(frozen=True, kw_only=True)
class StageStatus:
    """One line of the stage list: `elapsed_s` counts while it runs and stays when it ended."""

    name: str
    state: StageState
    elapsed_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunStatus(Record):
    """`status.json`, replaced every 10 to 15 s; the container answers it at `/status.json` too."""

    run: str
    attempt: int
    recipe: str
    stage: str
    stages: list[StageStatus] = field(default_factory=list[StageStatus])
    step: int | None = None
    total_steps: int | None = None
    loss: float | None = None
    tokens_per_s: float | None = None
    mfu: float | None = None
    gpu_memory_bytes: int | None = None
    all_reduce_bytes_per_s: float = 0.0  # of each GPU's link, measured before training; 0: was not
    usual_all_reduce_bytes_per_s: float = 0.0  # among GPUs of this kind; 0 where it is not known
    uploaded_bytes: int = 0
    pending_bytes: int = 0
    started_at: str = ""  # ISO 8601, UTC; of this attempt
    beat_at: str = ""  # ISO 8601, UTC; of this record
    elapsed_s: float = 0.0  # over all attempts
    dollars: float = 0.0  # elapsed time over all attempts x hourly price
    message: str = ""
    outcome: Outcome | None = None  # set once the verdict is written
    no_verdict: str = ""  # why this container ended the run and can leave no verdict
    next_save_step: int | None = None  # of the running stage; None where nobody knows
    next_save_s: float | None = None  # until then, at the pace seen
    checkpoint_files: int = 0  # of the newest complete step, and how many of them are uploaded
    checkpoint_files_up: int = 0
    rented_hours_left: float | None = None  # bought_left_s in hours; else at most, of the first
    stopping: str = ""  # a stop is under way: what is waited for
    bought_left_s: float | None = None  # until the machine's hours are over; None: not known
    in_time: Literal["", "yes", "no", "unknown"] = ""  # whether it ends then; asked near the end
    stage_needs_s: float | None = None  # what the running stage still takes at its pace
    machine: Literal["", "checking", "passed", "refused"] = ""  # machine_trust.py says what each is
    machine_why: str = ""


@dataclass(frozen=True, kw_only=True)
class RunRecord(Record):
    """`run.json`, written once by the first attempt: what was asked for, without secrets."""

    run: str
    recipe: str
    settings: dict[str, Any]
    nanochat_commit: str = ""
    image_digest: str = ""
    gpus: list[str] = field(default_factory=list[str])
    world_size: int = 1
    price_usd_per_hour: float = 0.0
    duration_hours: int = 0
    created_at: str = ""


@dataclass(frozen=True, kw_only=True)
class Attempt(Record):
    """`attempts/<n>.json`, one a container start."""

    number: int
    started_at: str
    host: str
    reason: str  # why this attempt: "first start", "restarted", ...
    gpus: list[str] = field(default_factory=list[str])
    resumed_from: str = ""  # key of the checkpoint, "" when from the start
    point: str = ""  # where it went on: "<first stage to run>@<step>"; equal ones are counted
    device_batch_size: int = 0  # that it began with; 0 when unknown
    all_reduce_bytes_per_s: float = 0.0  # of each GPU's link, measured; 0 where it was not
    refused: str = ""  # why its machine does not work; such an attempt says nothing of the run


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One line of `metrics/<n>-<seq>.jsonl`: one training step or one evaluation."""

    stage: str
    step: int
    at: str
    total_steps: int | None = None
    loss: float | None = None
    val_bpb: float | None = None
    tokens_per_s: float | None = None
    dt_ms: float | None = None
    mfu: float | None = None


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One object of value; `key` is relative to the run prefix."""

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest(Record):
    """`manifest.json`, written after everything that it lists."""

    run: str
    artifacts: list[Artifact]

    @classmethod
    def _from_members(cls, members: dict[str, Any]) -> Self:
        return super()._from_members({**members, "artifacts": cls._artifacts(members)})


@dataclass(frozen=True, kw_only=True)
class Claim(Record):
    """`claim.json`, written conditionally: which bare container a prefix is of, and what for."""

    holder: str
    host: str
    recipe: str
    settings: dict[str, Any]
    nanochat_commit: str
    world_size: int
    claimed_at: str


@dataclass(frozen=True, kw_only=True)
class Lease(Record):
    """`lease.json`, written conditionally: which container trains."""

    holder: str
    attempt: int
    beat_at: str


@dataclass(frozen=True, kw_only=True)
class Verdict(Record):
    """`verdict.json`, written once and last: the only truth about the end of a run."""

    run: str
    attempt: int
    outcome: Outcome
    stage: str  # the last stage that ran
    reason: str
    exit_code: int
    started_at: str
    ended_at: str
    elapsed_s: float  # over all attempts
    dollars: float
    log_tail: list[str] = field(default_factory=list[str])  # last 200 lines of a failed stage
