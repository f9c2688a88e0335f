"""A machine that is lost anywhere in a run: the vendor starts it again, and nothing else is lost.

A kill is SIGKILL to a real container that was rented over HTTP; the next one has an empty disk.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.campaign import judge
from tests.campaign.judge import TAG
from tests.campaign.moments import (
    Moment,
    half_written,
    held,
    says,
    second_part_held,
    there,
)
from tests.campaign.pool import Campaign, Case, Undisturbed
from tests.campaign.rented import Run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]
BASE, SFT = f"checkpoints/base/{TAG}", f"checkpoints/sft/{TAG}"


def stage(name: str) -> str:
    """Return what the log says of the supervisor's own doing in a stage."""
    return f"trainstack | {name} | "


@dataclass(frozen=True)
class Kill:
    """Plays one loss of a machine, of which the log says at least `reached`."""

    reached: str
    moment: Moment

    def __call__(self, run: Run, undisturbed: Undisturbed) -> str:
        wait = self.moment(run)
        first = run.rent()
        wait()
        first.kill()
        assert self.reached in first.log, f"too early:\n{first.log}"
        struck = judge.look_around(run, first)
        run.let_pass()
        if not run.patient:
            run.bucket.delete("lease.json")  # or else the next container waits for 45 s
        second = run.next_container()
        if struck.verdict:
            second.says("this run has a verdict")
        verdict = judge.ended_well(run)
        judge.same_weights(judge.weights(run), undisturbed())
        assert verdict.attempt == struck.attempts + (not struck.verdict)
        lost = judge.lost_steps(struck, second)
        return _told(struck, lost, verdict.attempt)


def _told(struck: judge.Struck, lost: dict[str, int], attempt: int) -> str:
    words = [f"attempt {attempt}"]
    for name, training in struck.trained.items():
        way = struck.under_way(name)
        words.append(f"{name} {training.done}, lost {lost[name]}" + (f" {way} sent" if way else ""))
    if struck.multipart:
        words.append("upload open")
    return "; ".join(words)


KILLS: dict[str, dict[str, Moment]] = {
    "status page on port": {
        "verify-bucket-probed": held("GET", "/probe-"),
        "verify-attempt-not-recorded": held("PUT", "attempts/1.json"),
    },
    stage("data"): {
        "data-shard-on-its-way": held("GET", "shard_00000", of="mirror"),
    },
    stage("tokenizer"): {
        "tokenizer-trains": says("max_chars:"),
        "tokenizer-not-sent": held("PUT", "tokenizer/tokenizer.pkl"),
    },
    stage("base"): {
        "base-before-any-checkpoint": says("step 00008/"),
        "base-checkpoint-half-written": half_written(
            f"base_checkpoints/{TAG}/optim_000040_rank0.pt.tmp", program="toy_trainer.base_train"
        ),
        "base-checkpoint-not-sent": held("PUT", f"{BASE}/model_000040.pt"),
        "base-multipart-second-part": second_part_held("optim_000040_rank0.pt"),
        "base-multipart-not-completed": held("POST", "optim_000020_rank0.pt", "uploadId="),
        "base-weights-without-marker": held("PUT", f"{BASE}/complete_000040.json"),
        "base-older-upload-under-way": held(
            "PUT", "optim_000020_rank0.pt", "partNumber=2", there=f"{BASE}/complete_000040.json"
        ),
        "base-between-checkpoints": there(f"{BASE}/complete_000020.json", then="step 00034/"),
        "base-late-steps": there(f"{BASE}/complete_000040.json", then="step 00055/"),
        "base-stage-not-recorded": held("PUT", "stages/base.json"),
    },
    stage("base_eval"): {
        "base-eval-evaluates": there("stages/base.json", then="BPB Evaluation"),
    },
    stage("sft"): {
        "sft-before-any-checkpoint": there("stages/base_eval.json", then="step 00005 ("),
        "sft-checkpoint-half-written": half_written(
            f"chatsft_checkpoints/{TAG}/model_000020.pt.tmp", program="toy_trainer.chat_sft"
        ),
        "sft-weights-without-marker": held("PUT", f"{SFT}/complete_000010.json"),
        "sft-after-a-checkpoint": there(f"{SFT}/complete_000010.json"),
    },
    stage("eval"): {
        "eval-evaluates": says(stage("eval")),
    },
    stage("report"): {
        "report-not-sent": held("PUT", "report/report.md"),
        "flush-last-record-held": held("PUT", "stages/report.json", then=stage("report")),
    },
    "succeeded: all stages done": {
        "manifest-not-written": held("PUT", "manifest.json"),
        "between-manifest-and-verdict": held("PUT", "verdict.json", there="manifest.json"),
        "right-after-the-verdict": there("verdict.json"),
    },
}
CASES = [
    Case(name, Kill(reached, moment))
    for reached, moments in KILLS.items()
    for name, moment in moments.items()
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_killed_anywhere_the_run_ends_with_the_weights_of_an_undisturbed_one(
    campaign: Campaign, case: Case
) -> None:
    campaign.result(case)
