"""A rented machine starts another container in place of its own: what is sent, proved and said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from components.ledger.page import Owner, Page
from localcloud.caas.runtime.runtime import ContainerSpec, FoundContainer
from tests.contract.caas_place import CaasPlace, eventually
from tests.provider.builders import NAME, PREFIX, deployment
from tests.provider.conftest import BeatingRuntime, NewProcess
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import CallFailedError, Engine, Props, ProviderProcess
from tests.provider.test_process import names
from tests.runs_builders import status

OTHER_PREFIX = f"{PREFIX[:-8]}0ddba115"
LEDGER = f"/{BUCKET}/{Owner(project='trainstack', stack='dev', run='main').key}"


class TrainingRuntime(BeatingRuntime):
    """Each container that starts leaves its attempt's first sign of life in the bucket."""

    def __init__(self) -> None:
        super().__init__()
        self.r2: FakeR2 | None = None

    def start(self, spec: ContainerSpec) -> FoundContainer:
        if self.r2 is not None and (prefix := spec.environment.get("RUN_PREFIX")):
            key = f"/{BUCKET}/{prefix}/status.json"
            before = json.loads(self.r2.objects.get(key, b'{"attempt": 0}'))["attempt"]
            self.r2.objects[key] = replace(status(run="main"), attempt=before + 1).to_json()
        return super().start(spec)


@pytest.fixture
def runtime(r2: FakeR2) -> Iterator[TrainingRuntime]:
    found = TrainingRuntime()
    found.r2 = r2
    yield found
    found.close()


@pytest.fixture
def rented(process: ProviderProcess, caas: CaasPlace, r2: FakeR2) -> tuple[str, Props]:
    inputs, failures = process.check(first(r2))
    assert not failures
    found = process.create(inputs)
    caas.until(found[0], "running")
    return found


def first(r2: FakeR2, **changes: Any) -> Props:
    """A run with a typo: depth 20 was meant."""
    env = {**environment(PREFIX), "RECIPE_SETTINGS": '{"depth": 2}'}
    return deployment(r2.url, **{"env": env, "maxCostUsd": 9.0, **changes})


def environment(prefix: str) -> dict[str, str]:
    return {"RUN_NAME": "main", "RUN_PREFIX": prefix, "RECIPE": "rehearsal"}


def mended(state: Props, **changes: Any) -> Props:
    """The inputs of the same run with its hyperparameter mended, as `check` gives them."""
    env = {**environment(OTHER_PREFIX), "RECIPE_SETTINGS": '{"depth": 20}'}
    outputs = ("estimatedCostUsd", "priceUsdPerHour", "rentedAt")
    inputs = {key: value for key, value in state.items() if key not in outputs}
    another = {"env": env, "r2Prefix": OTHER_PREFIX, "privateName": "another-name"}
    return {**inputs, **another, **changes}


def up(process: ProviderProcess, rented: tuple[str, Props], news: Props) -> Props:
    """Plan and update, as the engine does; the machine must not be replaced."""
    assert process.diff(*rented, news) == (True, []), process.said()
    return process.update(*rented, news)


def paid(caas: CaasPlace, deployment_id: str) -> str:
    return f"{float(caas.details(deployment_id)['amount_paid']):.3f}"


def sent(caas: CaasPlace, deployment_id: str) -> int:
    """How many changes of its container the vendor took."""
    found = caas.cloud.store.deployment(deployment_id)
    assert found
    return found.generation


def entry(r2: FakeR2) -> Any:
    (found,) = Page.from_json(r2.objects[LEDGER]).entries
    return found


def test_a_mended_hyperparameter_trains_on_the_same_machine_without_a_second_charge(
    process, caas, r2, runtime, rented
):
    deployment_id, state = rented
    before, generation = paid(caas, deployment_id), sent(caas, deployment_id)
    after = up(process, rented, mended(state, image="127.0.0.1:5000/x@sha256:1"))
    assert "main: depth 2 -> 20: the same machine starts again, from the start" in process.said()
    assert "no charge" in process.said()
    assert names(caas) == [NAME]
    assert (paid(caas, deployment_id), sent(caas, deployment_id)) == (before, generation + 1)
    (found,) = runtime.found()
    assert runtime.specs[-1].environment["RECIPE_SETTINGS"] == '{"depth": 20}'
    assert runtime.specs[-1].environment["RENTAL_NAME"] == NAME
    assert runtime.specs[-1].environment["R2_SECRET_ACCESS_KEY"] == "planted-secret-key"
    assert runtime.specs[-1].image_url == after["image"] == "127.0.0.1:5000/x@sha256:1"
    assert found.running
    assert (after["privateName"], after["r2Prefix"]) == (NAME, OTHER_PREFIX)
    assert process.diff(deployment_id, after, mended(state, image=after["image"])) == (False, [])
    told = json.loads(r2.objects[f"/{BUCKET}/{OTHER_PREFIX}/bought.json"])
    assert (told["rental"], told["hours"]) == (NAME, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"renew": 1.0, "accessKeyId": "new", "secretAccessKey": "planted-new"},
        {"renew": 1.0},
        {"wandbApiKey": "planted-wandb"},
        {"accessToken": "planted-token"},
    ],
    ids=" ".join,
)
def test_new_credentials_reach_the_same_machine_and_its_run_goes_on(
    process, caas, r2, runtime, rented, change
):
    news = {**mended(rented[1]), **{key: rented[1][key] for key in ("env", "r2Prefix")}, **change}
    after = up(process, rented, news)
    assert "goes on from the start, as it has no checkpoint yet" in process.said()
    assert names(caas) == [NAME]
    secrets = runtime.specs[-1].environment
    assert secrets["R2_SECRET_ACCESS_KEY"] == after["secretAccessKey"]
    assert secrets.get("WANDB_API_KEY", "") == after["wandbApiKey"]
    assert secrets["ACCESS_TOKEN"] == after["accessToken"]
    assert (entry(r2).token_id, entry(r2).renew) == (after["accessKeyId"], after["renew"])
    assert "planted" not in process.said()


def test_a_machine_that_was_rented_by_an_older_release_is_left_alone_and_can_be_restarted(
    process, caas, r2, rented
):
    """As commit 6636e89 rented: no fingerprint, no page of the ledger, no offer of hours."""
    deployment_id, state = rented
    old = {key: value for key, value in state.items() if key not in ("renew", "stack", "project")}
    del r2.objects[LEDGER]
    same = {**first(r2), "offer": old["offer"], "image": "127.0.0.1:5000/x@sha256:1"}
    assert process.diff(deployment_id, old, same) == (False, [])
    after = up(process, (deployment_id, old), mended(state))
    assert after["privateName"] == NAME
    assert entry(r2).deployment_id == deployment_id


@pytest.mark.parametrize("lost", ["created", "not_created"])
def test_an_unclear_answer_is_looked_after_before_anything_is_sent_again(
    process, caas, r2, rented, lost
):
    generation = sent(caas, rented[0])
    caas.behave(lose_reply_to="update", lose_reply="504", lost_create=lost)
    news = mended(rented[1])
    assert process.diff(*rented, news) == (True, [])
    if lost == "created":
        process.update(*rented, news)
    assert sent(caas, rented[0]) == generation + (lost == "created")
    caas.behave(lose_reply="no")
    process.update(*rented, news)
    assert sent(caas, rented[0]) == generation + 1


def test_an_engine_killed_before_the_state_was_written_sends_nothing_twice(
    process, new_process: NewProcess, caas, r2, rented
):
    news, generation = mended(rented[1]), sent(caas, rented[0])
    up(process, rented, news)  # and what it returned is lost
    later = new_process()
    after = up(later, rented, news)
    assert "was told to start this container before" in later.said()
    assert sent(caas, rented[0]) == generation + 1
    assert later.diff(rented[0], after, news) == (False, [])


def test_what_is_put_back_after_such_a_kill_is_what_the_machine_trains(
    process, new_process: NewProcess, caas, r2, runtime, rented
):
    """The state knows of nothing, so that no input differs from it."""
    deployment_id, state = rented
    up(process, rented, mended(state))  # and what it returned is lost
    later, back = new_process(), {**first(r2), "offer": state["offer"]}
    after = up(later, rented, back)
    assert "a start of another container was interrupted" in later.said()
    assert runtime.specs[-1].environment["RECIPE_SETTINGS"] == '{"depth": 2}'
    assert later.diff(deployment_id, after, back) == (False, [])


def test_a_killed_engine_in_the_middle_leaves_a_machine_that_the_next_update_finds(
    process, new_process: NewProcess, caas, r2, runtime, rented, engine: Engine
):
    runtime.r2 = None  # no sign of life: it waits, until its engine is gone
    news, generation = mended(rented[1]), sent(caas, rented[0])
    assert process.diff(*rented, news) == (True, [])
    with ThreadPoolExecutor(1) as beside:
        update = beside.submit(process.update, *rented, news)
        eventually(lambda: sent(caas, rented[0]) == generation + 1)
        engine.kill()
        with pytest.raises(CallFailedError, match="engine has ended"):
            update.result()
    r2.objects[f"/{BUCKET}/{OTHER_PREFIX}/status.json"] = status(run="main").to_json()
    next_engine = Engine()
    up(new_process(next_engine), rented, news)
    next_engine.kill()
    assert sent(caas, rented[0]) == generation + 1


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("refused", "Updates of this deployment are not supported"),
        ("merged", "it kept DEVICE_BATCH_SIZE of the container of before"),
    ],
)
def test_what_the_vendor_does_not_do_is_recorded_and_the_next_preview_offers_another_machine(
    process, new_process: NewProcess, caas, r2, rented, how, told
):
    deployment_id, state = rented
    env = {**state["env"], "DEVICE_BATCH_SIZE": "4"}
    up(process, rented, {**mended(state), "env": env, "r2Prefix": PREFIX})
    state = {**state, "env": env}
    caas.behave(update=how)
    news, before = mended(state), paid(caas, deployment_id)
    assert process.diff(deployment_id, state, news) == (True, [])
    with pytest.raises(CallFailedError, match="starts no other container") as failed:
        process.update(deployment_id, state, news)
    assert told in str(failed.value)
    assert "or put back what you changed" in str(failed.value)
    assert entry(r2).restart_refused
    assert names(caas) == [NAME]
    assert paid(caas, deployment_id) == before, "nothing is bought as a fallback"
    preview = new_process()
    changes, replaces = preview.diff(deployment_id, state, news)
    assert changes
    assert {"env", "r2Prefix"} <= set(replaces)
    assert "another one is rented, at the price below" in preview.said()
    inputs, failures = preview.check(news)
    assert not failures
    assert "rents CPU in US at $0.40/h x 1 h" in preview.said()
    preview.delete(deployment_id, state)
    preview.create({**inputs, "privateName": f"{NAME}-2"})
    assert names(caas) == [f"{NAME}-2"]


def test_a_failure_is_mended_by_the_users_own_change_and_the_same_machine(
    process, caas, r2, rented
):
    state = rented[1]
    r2.put_verdict(PREFIX, "failed")
    smaller = {**state["env"], "DEVICE_BATCH_SIZE": "4"}
    for unmended in ({"renew": 1.0}, {"wandbApiKey": "w"}, {"image": "127.0.0.1:5000/x@sha256:1"}):
        news = {**mended(state), "env": state["env"], "r2Prefix": PREFIX, **unmended}
        assert process.diff(*rented, news) == (False, [])
    news = {**mended(state), "env": smaller, "r2Prefix": PREFIX}
    up(process, rented, news)
    assert f"/{BUCKET}/{PREFIX}/verdict.json" not in r2.objects
    assert f"/{BUCKET}/{PREFIX}/verdicts/1-failed.json" in r2.objects
    assert names(caas) == [NAME]


def test_a_run_that_succeeded_is_never_set_aside(process, r2, rented):
    r2.put_verdict(PREFIX, "succeeded")
    assert process.diff(*rented, mended(rented[1], renew=1.0)) == (False, [])
    assert "has its verdict (succeeded)" in process.said()


def test_a_training_that_has_its_verdict_is_not_begun_again_by_changing_back(
    process, caas, r2, rented
):
    r2.put_verdict(OTHER_PREFIX, "failed")
    with pytest.raises(CallFailedError, match="has trained just this before") as failed:
        process.diff(*rented, mended(rented[1]))
    assert "raise trainstack:rerun, or change something else" in str(failed.value)
    rerun = mended(rented[1], identity="99999999")
    assert process.diff(*rented, rerun) == (True, ["identity", "env", "r2Prefix"])
    another = f"{PREFIX[:-8]}50me1h1n"
    env = {**environment(another), "RECIPE_SETTINGS": '{"depth": 21}'}
    up(process, rented, mended(rented[1], env=env, r2Prefix=another))
    assert names(caas) == [NAME]


def test_a_run_that_ended_while_its_restart_was_planned_is_left_as_it_is(process, caas, r2, rented):
    news, generation = mended(rented[1]), sent(caas, rented[0])
    assert process.diff(*rented, news) == (True, [])
    r2.put_verdict(PREFIX, "succeeded")
    with pytest.raises(CallFailedError, match="is not what was planned any more"):
        process.update(*rented, news)
    assert process.diff(*rented, news) == (False, []), "it says what holds now"
    assert sent(caas, rented[0]) == generation


def test_a_machine_that_ended_meanwhile_is_looked_for_by_the_next_update(
    process, new_process: NewProcess, caas, rented
):
    deployment_id, state = rented
    news = mended(state)
    assert process.diff(deployment_id, state, news) == (True, [])
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    with pytest.raises(CallFailedError, match="Run `pulumi up` again: it looks what became"):
        process.update(deployment_id, state, news)
    assert new_process().diff(deployment_id, state, news) == (True, ["deployment"])


@pytest.mark.parametrize(
    ("silent", "told", "sends"),
    [
        ("status.json", "it is not known whether its container trains", False),
        ("bought.json", "it tells the run, and starts and buys nothing twice", True),
    ],
)
def test_a_bucket_that_refuses_is_asked_again_by_the_next_update_and_nothing_is_sent_twice(
    process, caas, r2, rented, silent, told, sends
):
    news, generation = mended(rented[1]), sent(caas, rented[0])
    r2.refuses_words = silent
    with pytest.raises(CallFailedError, match=told):
        process.update(*rented, news)
    assert sent(caas, rented[0]) == generation + sends
    r2.refuses_words = ""
    up(process, rented, news)
    assert sent(caas, rented[0]) == generation + 1


def timed(hours: float) -> Props:
    return {"autoHours": True, "timedFor": {"gpu": "CPU", "hours": hours, "memoryGb": 0.0}}


def test_hours_that_are_missing_are_bought_in_place_within_the_budget(process, caas, r2, rented):
    deployment_id, state = rented
    news = mended(state, **timed(2.5))
    after = up(process, rented, news)
    assert "2 h more cost $0.82; another machine would cost $1.23" in process.said()
    hours = (after["durationHours"], after["extendedHours"])
    assert (*hours, after["estimatedCostUsd"]) == (1, 2, 1.23)
    assert paid(caas, deployment_id) == "1.227"
    assert process.diff(deployment_id, after, news) == (False, [])
    assert names(caas) == [NAME]


def test_hours_that_the_budget_does_not_have_start_nothing(process, caas, r2, rented):
    generation = sent(caas, rented[0])
    news = mended(rented[1], **timed(2.5), maxCostUsd=1.0)
    with pytest.raises(CallFailedError, match="above the cap"):
        process.diff(*rented, news)
    assert sent(caas, rented[0]) == generation


def test_a_number_of_hours_that_is_too_low_is_refused_until_it_is_raised(process, caas, r2):
    """As before a rental: of a GPU. On a CPU a number of hours is taken as it is."""
    inputs, failures = process.check(first(r2, gpuType="H100", maxCostUsd=99.0))
    assert not failures
    rented = process.create(inputs)
    caas.until(rented[0], "running")
    once = float(paid(caas, rented[0]))
    news = mended(rented[1], timedFor={"gpu": "H100", "hours": 2.5, "memoryGb": 0.0})
    with pytest.raises(CallFailedError, match="set trainstack:durationHours to 3, or to auto"):
        process.diff(*rented, news)
    after = up(process, rented, {**news, "durationHours": 3.0})
    assert after["durationHours"] == 3
    assert float(paid(caas, rented[0])) == pytest.approx(3 * once, abs=0.01)


def test_what_a_live_machine_keeps_is_had_at_once_by_a_renewal(process, caas, r2, runtime, rented):
    wanted = {**first(r2), "offer": rented[1]["offer"], "image": "127.0.0.1:5000/x@sha256:1"}
    assert process.diff(*rented, wanted) == (False, [])
    assert "To have it at once raise trainstack:renew" in process.said()
    renewed = {**wanted, "renew": 1.0, "accessKeyId": "of-the-new-token"}
    after = up(process, rented, renewed)
    assert runtime.specs[-1].image_url == after["image"] == wanted["image"]
    assert names(caas) == [NAME]
