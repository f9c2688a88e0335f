"""A short all-reduce over all ranks before any data: ends a machine on which training cannot start.

NCCL without P2P between the GPUs needs about 10 MB of /dev/shm a segment, and a container may have
64 MiB: https://github.com/NVIDIA/nccl/issues/342. Refused is only what was seen to fail or to hang
on GPUs that training would use the same way; what kept the check itself from running is unknown.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from container.contract.link_speed import in_words, usual_bytes_per_s
from container.stages.context import RunContext
from container.stages.stage_process import StageEnd, run_stage
from container.supervisor.machine_check import SHARED_MEMORY, Check

NAME = "all-reduce"
MARK = "all-reduce: "  # as container/nanochat/all_reduce.py says it, which imports none of ours


@dataclass(kw_only=True)
class Heard:
    """What the ranks said: the phases that each has reached, and what one of them found."""

    phases: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    failures: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    not_checked: str = ""
    backend: str = ""
    p2p: bool | None = None
    bytes_per_s: float = 0.0

    def take(self, line: str) -> None:
        """Take in a line of output; one that no rank said on purpose says nothing."""
        _, mark, text = line.partition(MARK)
        try:
            said: Any = json.loads(text) if mark else None
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        members = cast("dict[str, Any]", said)
        rank, phase = int(members.get("rank", 0)), str(members.get("phase", ""))
        self.phases.setdefault(phase, set()).add(rank)
        self.backend = str(members.get("backend", self.backend))
        self.p2p = members.get("p2p", self.p2p)
        self.bytes_per_s = max(self.bytes_per_s, float(members.get("bytes_per_s", 0)))
        if phase == "failed":
            self.failures.append((rank, str(members.get("at")), str(members.get("why"))))
        elif phase == "not checked":
            self.not_checked = str(members.get("why"))

    def reached(self, phase: str) -> set[int]:
        """Return the ranks that have reached a phase."""
        return self.phases.get(phase, set())


def check_all_reduce(context: RunContext) -> tuple[Check, float] | None:
    """Return the check and the bytes a second; None for a recipe that has no such check."""
    stage = context.recipe.all_reduce
    if stage is None:
        return None
    heard = Heard()

    def take(line: str) -> None:
        context.run_log.line("verify", line)
        heard.take(line)

    end = run_stage(
        context.command(stage, resume_step=None),
        on_line=take,
        on_progress=lambda _: None,
        stop=context.stop,
        stop_budget=context.stop_budget,
        kill=(context.kill,),
        clock=context.clock,
    )
    usual = usual_bytes_per_s(context.environment.gpu)
    world = context.environment.world_size
    return judged(heard, end, world=world, shm_bytes=_shm_bytes(), usual=usual), heard.bytes_per_s


def judged(
    heard: Heard, end: StageEnd, *, world: int, shm_bytes: int | None, usual: float = 0.0
) -> Check:
    """Decide from what the ranks said and how they ended; only on GPUs is anything refused."""
    if end.end == "done" and heard.reached("done"):
        rate = in_words(heard.bytes_per_s, usual_bytes_per_s=usual)
        return Check(NAME, "passed", rate or f"{world} device computes, nothing to reduce")
    wrong = _wrong(heard, end, world=world, shm_bytes=shm_bytes)
    if wrong and heard.backend == "nccl" and end.end != "stopped":
        return Check(NAME, "refused", wrong)
    why = heard.not_checked or wrong or end.reason
    return Check(NAME, "unknown", f"not checked: {why}")


def _wrong(heard: Heard, end: StageEnd, *, world: int, shm_bytes: int | None) -> str:
    """Return what was seen to go wrong; "" where it ended before any GPU was asked."""
    if len(heard.reached("started")) < world:
        return ""
    of_gpus = [one for one in heard.failures if one[1] == "gpu"]
    if of_gpus:
        rank, _, why = of_gpus[0]
        return f"GPU {rank} fails: {why}"
    silent = heard.reached("started") - heard.reached("computed")
    if silent:
        return f"GPU {_listed(silent)} does not compute: {end.reason}"
    why = next((why for _, at, why in heard.failures if at == "ranks"), end.reason)
    lacks = ["no P2P between the GPUs"] if heard.p2p is False else []
    if shm_bytes is not None:
        lacks.append(f"{SHARED_MEMORY} has {shm_bytes >> 20} MiB")
    return f"{world} GPUs compute and cannot reduce with one another: {why} ({', '.join(lacks)})"


def _listed(ranks: set[int]) -> str:
    numbers: Sequence[int] = sorted(ranks)
    return " and ".join(str(number) for number in numbers)


def _shm_bytes() -> int | None:
    try:
        return shutil.disk_usage(SHARED_MEMORY).total
    except OSError:
        return None
