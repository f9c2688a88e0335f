"""SIGTERM in each stage: the run ends as stopped, with all that is complete; it can go on."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from tests.campaign import judge
from tests.campaign.judge import TAG
from tests.campaign.moments import Moment, held, says, there
from tests.campaign.pool import Campaign, Case, Undisturbed
from tests.campaign.rented import Run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]
MIB = 2**20
BASE, SFT = f"checkpoints/base/{TAG}", f"checkpoints/sft/{TAG}"


@dataclass(frozen=True)
class Stop:
    """Plays one request to stop. `closing`: what is held stays held until the run is ending."""

    stage: str
    moment: Moment
    closing: bool = False

    def __call__(self, run: Run, _: Undisturbed) -> str:
        wait = self.moment(run)
        one = run.rent()
        wait()
        begin = time.monotonic()
        one.container.kill("SIGTERM")
        if self.closing:
            one.says("stopped on request")
        run.let_pass()
        one.ended()
        took_s = time.monotonic() - begin
        verdict = run.stopped()
        assert (verdict.outcome, verdict.stage) == ("stopped", self.stage), one.log
        kept = len(run.manifest().artifacts)
        # The vendor starts the container again, and as the machine bills the run goes on.
        run.goes_on()
        judge.ended_well(run)
        return f"ended after {took_s:.1f} s, {kept} artefacts; went on"


def machine_given_back_while_it_trains(run: Run, undisturbed: Undisturbed) -> str:
    """As `pulumi destroy` does it; rented again, the run goes on and ends as if undisturbed."""
    first = run.rent()
    run.there(f"{BASE}/complete_000020.json")
    first.says("step 00030/")
    run.give_back()
    verdict = run.verdict(within_s=1)
    assert (verdict.outcome, verdict.stage) == ("stopped", "base"), first.log
    struck = judge.look_around(run, first)
    run.set_verdict_aside(verdict)
    second = run.rent()
    judge.ended_well(run)
    judge.same_weights(judge.weights(run), undisturbed())
    lost = judge.lost_steps(struck, second)
    return f"stopped at {struck.trained['base'].done}, lost {lost['base']}"


def machine_given_back_while_its_uploads_wait(run: Run, _: Undisturbed) -> str:
    """Five seconds are enough for the verdict, not for the uploads."""
    one = run.rent()
    one.says("step 00010/")
    run.store.faults.bytes_per_s = MIB / 2
    one.says("step 00035/")
    run.give_back()
    verdict = run.verdict(within_s=1)
    assert (verdict.outcome, verdict.stage) == ("stopped", "base"), one.log
    judge.every_hash_is_right(run)
    return f"{len(run.manifest().artifacts)} artefacts, {len(run.open_uploads())} uploads open"


STOPS = {
    "verify": Stop("verify", held("GET", "/probe-")),
    "data": Stop("data", held("GET", "shard_00000", of="mirror")),
    "tokenizer": Stop("tokenizer", says("max_chars:")),
    "base": Stop("base", there(f"{BASE}/complete_000020.json", then="step 00030/")),
    "base-eval": Stop("base_eval", says("BPB Evaluation")),
    "sft": Stop("sft", there("stages/base_eval.json", then="step 00005 (")),
    "eval": Stop("eval", says("trainstack | eval | ")),
    "flush": Stop("flush", held("PUT", "stages/report.json", then="report | "), closing=True),
}
CASES = [
    *(Case(f"sigterm-in-{name}", stop) for name, stop in STOPS.items()),
    Case("machine-given-back-while-it-trains", machine_given_back_while_it_trains),
    Case("machine-given-back-while-uploads-wait", machine_given_back_while_its_uploads_wait),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_asked_to_stop_the_run_keeps_what_is_complete_and_says_so(
    campaign: Campaign, case: Case
) -> None:
    campaign.result(case)
