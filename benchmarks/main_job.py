"""The main job's waits: to the rented machine, to the first step, from the last step to the end."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from benchmarks.figures import Figure, seconds_of
from benchmarks.world import STACK, local_world, stack
from components.http_session import make_session
from container.contract.keys import VERDICT_KEY
from container.contract.records import Verdict
from container.recipes.rehearsal import TEST_SETTINGS
from localcloud.place import ACCOUNT_ID
from runs.source.selector import Selector
from runs.source.source import Source
from runs.view.loss_curve import read_metrics

TARGET_TO_ID_S = 45
CAAS = "/enterprise/v1/io-cloud/caas"


def measure(_cold: bool) -> list[Figure]:
    """Rent, train and end one run of the test size; the image is built before the clock starts."""
    settings = {"bucket": "trainstack-bench", "recipeSettings": TEST_SETTINGS}
    up = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"]
    with local_world() as env, stack(env, settings) as flags:
        env["CLOUDFLARE_ACCOUNT_ID"] = ACCOUNT_ID
        # The first time builds and pushes the image, which a warm `make up` does not.
        seconds_of([*up, *flags], env=env)
        seconds_of(["pulumi", "destroy", "--yes", "--skip-preview", *flags], env=env)
        begin = datetime.now(UTC)
        seconds_of([*up, *flags], env=env)
        source = Source(Selector(stack=STACK), environ=env)
        rented = _created_at(env, source.choose_one().deployment_id)
        seconds_of([sys.executable, "-m", "runs", "watch", "--stack", STACK], env=env)
        prefix = source.choose_one().prefix
        verdict = source.bucket.record(f"{prefix}/{VERDICT_KEY}", Verdict, required=True)
        steps = sorted(metric.at for metric in read_metrics(source.bucket, prefix))
    ended = datetime.fromisoformat(verdict.ended_at)
    first, last = datetime.fromisoformat(steps[0]), datetime.fromisoformat(steps[-1])
    return [
        Figure("pulumi up to deployment ID", _s(begin, rented), "s", f"target {TARGET_TO_ID_S} s"),
        Figure("deployment ID to first step", _s(rented, first), "s"),
        Figure("last training step to verdict", _s(last, ended), "s", "eval, report, flush"),
    ]


def _s(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def _created_at(env: dict[str, str], deployment_id: str) -> datetime:
    with make_session() as session:
        answer = session.get(
            f"{env['IONET_BASE_URL']}{CAAS}/deployment/{deployment_id}",
            headers={"x-api-key": env["IOCLOUD_API_KEY"]},
            timeout=30,
        )
    answer.raise_for_status()
    return datetime.fromisoformat(answer.json()["data"]["created_at"])
