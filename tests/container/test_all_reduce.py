"""The short all-reduce before any data: what ends a machine, and what only is told."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import pytest

from container.contract.keys import attempt_key
from container.contract.link_speed import in_words, usual_bytes_per_s
from container.contract.recipe import Stage
from container.contract.records import Attempt
from container.nanochat import all_reduce
from container.stages.stage_process import StageEnd
from container.supervisor.all_reduce_check import MARK, Heard, judged
from tests.container.conftest import Launch, wait_for
from tests.container.recipes import fake_recipe, file_stage

STARTED = [{"rank": n, "phase": "started", "backend": "nccl"} for n in range(2)]
NO_P2P = [{"rank": 0, "phase": "computed", "p2p": False}, {"rank": 1, "phase": "computed"}]
COMPUTED = [{**one, "p2p": True} for one in NO_P2P]
DONE = [{"rank": n, "phase": "done", "bytes_per_s": 3.1e11} for n in range(2)]
ON_CPU = [{**one, "backend": "gloo"} for one in STARTED]
HUNG = StageEnd(end="stalled", exit_code=-9, reason="not a word for 60 s")
FAILED = StageEnd(end="failed", exit_code=1, reason="exit code 1")
WELL = StageEnd(end="done", exit_code=0)
SHM = "NCCL error: unhandled system error"


def failed(at: str, why: str, rank: int = 1) -> dict[str, Any]:
    return {"rank": rank, "phase": "failed", "at": at, "why": why}


CASES: list[tuple[str, list[dict[str, Any]], StageEnd, str, str]] = [
    ("all is well", [*STARTED, *COMPUTED, *DONE], WELL, "passed", "310 GB/s (usual: 350)"),
    (
        "P2P is missing and the shared memory too small",
        [*STARTED, *NO_P2P, failed("ranks", SHM)],
        FAILED,
        "refused",
        f"{SHM} (no P2P between the GPUs, /dev/shm has 64 MiB)",
    ),
    ("the ranks hang", [*STARTED, *NO_P2P], HUNG, "refused", "not a word for 60 s (no P2P"),
    ("a rank is killed", [*STARTED, *COMPUTED], FAILED, "refused", "exit code 1 (/dev/shm has"),
    ("a wrong sum", [*STARTED, *COMPUTED, failed("ranks", "came out wrong")], FAILED, "refused",
     "came out wrong"),
    ("a GPU fails", [*STARTED, failed("gpu", "CUDA error: ECC")], FAILED, "refused",
     "GPU 1 fails: CUDA error: ECC"),
    ("a GPU hangs", [*STARTED, COMPUTED[0]], HUNG, "refused", "GPU 1 does not compute"),
    ("no PyTorch", [{"rank": 0, "phase": "not checked", "why": "no torch"}], FAILED, "unknown",
     "not checked: no torch"),
    ("it does not start", [], replace(FAILED, reason="cannot start x"), "unknown", "cannot start"),
    ("one rank loads for too long", STARTED[:1], HUNG, "unknown", "not a word"),
    ("an unforeseen fault of the check", [*STARTED[:1]], FAILED, "unknown", "exit code 1"),
    ("on the processor nothing is refused", [*ON_CPU, *COMPUTED], HUNG, "unknown", "not a word"),
    ("it was told to stop", [*STARTED, *COMPUTED], StageEnd(end="stopped", exit_code=-15),
     "unknown", "not checked"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "end", "outcome", "detail"), [one[1:] for one in CASES], ids=[one[0] for one in CASES]
)
def test_only_a_machine_that_was_seen_to_be_hopeless_is_refused(
    said: list[dict[str, Any]], end: StageEnd, outcome: str, detail: str
) -> None:
    """Without P2P NCCL needs shared memory that a container may not have.

    https://github.com/NVIDIA/nccl/issues/342
    """
    heard = Heard()
    for one in said:
        heard.take(f"{MARK}{json.dumps(one)}")
    for noise in ("NCCL INFO", f"{MARK}no JSON", f"{MARK}[]", ""):
        heard.take(noise)
    check = judged(heard, end, world=2, shm_bytes=64 << 20, usual=3.5e11)
    assert (check.outcome, detail in check.detail) == (outcome, True), check.detail


def test_the_check_reads_what_the_ranks_say() -> None:
    assert MARK == all_reduce.MARK


def test_one_gpu_computes_and_has_nothing_to_reduce() -> None:
    heard = Heard()
    for one in (STARTED[0], COMPUTED[0], {"rank": 0, "phase": "done", "bytes_per_s": 0.0}):
        heard.take(f"{MARK}{json.dumps(one)}")
    check = judged(heard, WELL, world=1, shm_bytes=None)
    assert (check.outcome, check.detail) == ("passed", "1 device computes, nothing to reduce")


@pytest.mark.parametrize(
    ("gpu", "gb_per_s"),
    [("H100 SXM 80GB", 350), ("8H100.80S.176V", 350), ("H100 PCIe", 30), ("X900", 0)],
)
def test_what_is_usual_is_known_by_the_form(gpu: str, gb_per_s: int) -> None:
    assert usual_bytes_per_s(gpu) == gb_per_s * 1e9


def test_a_rate_is_told_beside_what_is_usual() -> None:
    assert in_words(3.1e11, usual_bytes_per_s=3.5e11) == "310 GB/s (usual: 350)"
    assert in_words(1.2e9, usual_bytes_per_s=0) == "1.2 GB/s"
    assert in_words(0, usual_bytes_per_s=3.5e11) == ""


def saying(*said: dict[str, Any], code: int = 0) -> Stage:
    """Return a check that says this and ends."""
    lines = "".join(f"{MARK}{json.dumps(one)}\n" for one in said)
    text = lines.replace("{", "{{").replace("}", "}}")  # a command line is a template
    program = f"import sys; sys.stdout.write({text!r}); sys.exit({code})"
    return Stage(name="verify", argv=(sys.executable, "-c", program), time_limit_s=30)


def test_a_hopeless_machine_ends_before_any_stage_with_the_reason(launch: Launch) -> None:
    check = saying(STARTED[0], NO_P2P[0], failed("ranks", SHM, rank=0), code=1)
    run = launch(fake_recipe(file_stage("data", local="data", key=""), all_reduce=check))
    wait_for(lambda: run.status().no_verdict, what=run.log)
    status = run.status()
    assert (status.machine, status.outcome) == ("refused", None)
    assert "not what was ordered: all-reduce (1 GPUs compute and cannot reduce" in status.no_verdict
    assert SHM in status.no_verdict
    assert "stage started" not in run.log


def test_a_measured_rate_is_recorded_and_shown_and_the_run_goes_on(launch: Launch) -> None:
    check = saying(STARTED[0], COMPUTED[0], DONE[0])
    run = launch(fake_recipe(file_stage("data", local="data", key="data"), all_reduce=check))
    assert run.verdict().outcome == "succeeded"
    assert run.status().all_reduce_bytes_per_s == 3.1e11
    attempt = Attempt.from_json(run.supervisor.bucket.get(attempt_key(1)) or b"")
    assert attempt.all_reduce_bytes_per_s == 3.1e11


def test_a_check_that_cannot_run_ends_nothing(launch: Launch) -> None:
    check = Stage(name="verify", argv=("/nowhere/torchrun",), time_limit_s=30)
    run = launch(fake_recipe(file_stage("data", local="data", key="data"), all_reduce=check))
    assert run.verdict().outcome == "succeeded"
    assert "all-reduce: unknown, not checked: cannot start /nowhere/torchrun" in run.log
