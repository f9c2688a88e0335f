"""One hour first: what the check of a machine buys, gives back and remembers, through the provider.

No launcher of this field prepays hours; what a bad node costs where they are: SkyPilot blocks the
zone and fails over (https://github.com/skypilot-org/skypilot/issues/2666), here a place that was
paid for is left out.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from components.ionet.provider import CaasDeploymentProvider, DeploymentReadyProvider
from components.ledger import bad_places
from components.ledger.page import Entry, Page
from container.contract.bought_time import BoughtTime
from tests.contract.caas_place import CaasPlace
from tests.provider.builders import PREFIX, deployment
from tests.provider.conftest import BeatingRuntime
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import CallFailedError, Props, ProviderProcess
from tests.runs_builders import status

KEY = f"/{BUCKET}/ledger/trainstack/dev/main.json"
PASSED = {"schema": 1, "run": "main", "stage": "base", "machine": "passed"}
FORM = "the machine is not what was ordered: gpu model (ordered H100 SXM, found NVIDIA H100 PCIe)"
REFUSED = {
    "schema": 1,
    "run": "main",
    "stage": "verify",
    "machine": "refused",
    "no_verdict": FORM,
}
SLOW = {
    "schema": 1,
    "run": "main",
    "stage": "base",
    "machine": "refused",
    "machine_why": "it is too slow: a step takes 9.00 s, 1.00 s were expected",
}


def planned(r2: FakeR2, **changes: object) -> Props:
    """Inputs of a run of three hours, of which one is bought first."""
    props = {"durationHours": 3.0, "firstHours": 1.0, "attempts": 3.0, "maxCostUsd": 9.0}
    return deployment(r2.url, **{**props, **changes})


def ready_inputs(deployment_id: str, state: Props) -> Props:
    """What the program hands to the wait, from the state of the machine."""
    kept = (
        *("cloud", "project", "stack", "run", "identity", "accountId", "r2Endpoint", "bucket"),
        *("r2Prefix", "maxCostUsd", "attempts", "hoursFirst", "offer", "privateName", "rentedAt"),
    )
    return {
        "deploymentId": deployment_id,
        "timeoutMinutes": 1.0,
        "plannedHours": state["durationHours"],
        **{key: state[key] for key in kept if key in state},
    }


def entry(r2: FakeR2) -> Entry:
    return Page.from_json(r2.objects[KEY]).entries[-1]


def rent(process: ProviderProcess, r2: FakeR2, **changes: object) -> tuple[str, Props]:
    process.provider = CaasDeploymentProvider()
    inputs, failures = process.check(planned(r2, **changes))
    assert not failures
    return process.create(inputs)


def check(process: ProviderProcess, machine: tuple[str, Props], **changes: object) -> str:
    process.provider = DeploymentReadyProvider()
    try:
        return process.create({**ready_inputs(*machine), **changes})[1]["statusUrl"]
    finally:
        process.provider = CaasDeploymentProvider()


def hours(caas: CaasPlace, deployment_id: str) -> float:
    shown = caas.details(deployment_id)
    return round((shown["compute_minutes_served"] + shown["compute_minutes_remaining"]) / 60)


def test_one_hour_is_bought_first_and_the_rest_is_set_aside(process, caas, r2):
    deployment_id, state = rent(process, r2)
    caas.until(deployment_id, "running")
    assert hours(caas, deployment_id) == 1
    assert "buys 1 h first, and the other 2 h once the machine is checked" in process.said()
    assert (state["durationHours"], state["hoursFirst"]) == (3, 1)
    assert state["estimatedCostUsd"] == 1.23, "of the plan"
    noted = entry(r2)
    assert (noted.hours, noted.planned_hours) == (1, 3)
    assert (noted.usd, noted.awaited_usd) == (Decimal("0.409"), Decimal("0.818"))
    config = caas.details(deployment_id)["container_config"]["env_variables"]
    assert config["DURATION_HOURS"] == "1"
    again, failures = process.check(planned(r2), state)
    assert not failures
    assert process.diff(deployment_id, state, again) == (False, [])


@pytest.mark.parametrize(
    ("first", "plan", "bought"), [(0.0, 3.0, 3), (1.0, 1.0, 1), (5.0, 3.0, 3), (2.0, 3.0, 2)]
)
def test_how_many_hours_the_first_request_buys(process, caas, r2, first, plan, bought):
    deployment_id, state = rent(process, r2, firstHours=first, durationHours=plan)
    caas.until(deployment_id, "running")
    assert hours(caas, deployment_id) == bought
    assert state["durationHours"] == plan


def test_a_machine_that_passes_its_check_gets_the_rest_of_its_hours_once(
    process, caas, r2, runtime: BeatingRuntime
):
    """Called again, as after an engine that was killed before it stored that it was done."""
    machine = rent(process, r2)
    runtime.status = PASSED
    assert check(process, machine).startswith("http://127.0.0.1:")
    assert "machine checked" in process.said()
    assert "2 h more of CPU in US" in process.said()
    assert check(process, machine)
    assert hours(caas, machine[0]) == 3
    assert caas.details(machine[0])["amount_paid"] == pytest.approx(1.227)
    noted = entry(r2)
    assert (noted.hours, noted.awaited_usd, noted.reserved_usd) == (3, 0, 0)
    told = BoughtTime.from_json(r2.objects[f"/{BUCKET}/{PREFIX}/bought.json"])
    assert told.hours == 3
    again, _ = process.check(planned(r2), machine[1])
    assert process.diff(*machine, again) == (False, []), "its hours are the planned ones"


@pytest.mark.parametrize("lost", ["cut", "504"])
def test_a_rest_whose_answer_is_lost_is_bought_once(process, caas, r2, runtime, lost):
    machine = rent(process, r2)
    runtime.status = PASSED
    caas.behave(lose_reply=lost)
    check(process, machine)
    assert hours(caas, machine[0]) == 3


def test_a_run_that_cannot_be_told_of_its_hours_is_told_by_the_next_update(
    process, caas, r2, runtime
):
    machine = rent(process, r2)
    runtime.status = PASSED
    r2.refuses_words = "bought.json"
    with pytest.raises(CallFailedError, match="it tells the run, and buys nothing twice"):
        check(process, machine)
    r2.refuses_words = ""
    check(process, machine)
    assert hours(caas, machine[0]) == 3


def test_more_hours_for_a_machine_that_is_not_checked_are_bought_when_it_is(
    process, caas, r2, runtime
):
    """An update extends before the wait for the check: it would buy the whole plan unchecked."""
    machine = rent(process, r2)
    caas.until(machine[0], "running")
    longer, failures = process.check(planned(r2, durationHours=4.0), machine[1])
    assert not failures
    assert process.diff(*machine, longer) == (True, [])
    state = process.update(*machine, longer)
    assert (hours(caas, machine[0]), state["durationHours"]) == (1, 4)
    runtime.status = PASSED
    check(process, (machine[0], state))
    assert hours(caas, machine[0]) == 4
    assert process.diff(machine[0], state, longer) == (False, [])


def test_a_run_that_ended_in_its_first_hour_is_bought_no_more(process, caas, r2, runtime):
    machine = rent(process, r2)
    runtime.status = {**PASSED, "outcome": "failed"}
    check(process, machine)
    assert "the run has its verdict (failed); the other 2 h are not bought" in process.said()
    assert hours(caas, machine[0]) == 1
    assert entry(r2).awaited_usd == 0


def test_a_plan_above_the_budget_buys_no_first_hour(process, caas, r2):
    inputs, _ = process.check(planned(r2))
    with pytest.raises(CallFailedError, match=r"above the cap of \$1.00\. Nothing was rented"):
        process.create({**inputs, "maxCostUsd": 1.0})
    assert process.check(planned(r2, maxCostUsd=1.0))[1]
    assert not caas.call("GET", "deployments").json()["data"]["deployments"]


def test_what_a_machine_waits_for_counts_against_the_budget(process, caas, r2):
    """Else a second laptop could spend what the rest of the hours needs."""
    machine = rent(process, r2)
    process.diff(*machine, process.check(planned(r2), machine[1])[0])
    assert "budget $9.00: $0.41 spent, $0.82 reserved, $7.77 left" in process.said()


BAD = [
    pytest.param(REFUSED, FORM, id="not what was ordered"),
    pytest.param(SLOW, "it is too slow: a step takes 9.00 s", id="slow first steps"),
    pytest.param(None, "no heartbeat in 0 minutes", id="never up"),
]


@pytest.mark.parametrize(("status", "reason"), BAD)
def test_a_machine_that_does_not_work_is_given_back_and_costs_its_first_hour(
    process, caas, r2, runtime, status, reason
):
    machine = rent(process, r2)
    runtime.status = status
    with pytest.raises(CallFailedError) as failed:
        check(process, machine, timeoutMinutes=0.01)
    text = str(failed.value)
    assert f"CPU in US does not work: {reason}" in text
    assert "It was given back, and cost $0.41; nothing bills. It is no verdict" in text
    assert "Machine 1 of 3" in text
    assert "Try the next offer: pulumi up" in text
    assert caas.details(machine[0])["status"] == "destroyed"
    noted = entry(r2)
    assert (noted.state, noted.usd, noted.reserved_usd) == ("given back", Decimal("0.409"), 0)
    assert reason in noted.refused
    assert f"/{BUCKET}/{PREFIX}/verdict.json" not in r2.objects
    (bad,) = bad_places.from_json(r2.objects[f"/{BUCKET}/{bad_places.KEY}"])
    assert (bad.hardware_id, bad.location) == ("12", "2")
    assert reason in bad.reason


def h100(r2: FakeR2, **changes: object) -> Props:
    return planned(r2, gpuType="H100", maxCostUsd=90.0, **changes)


def try_once(process: ProviderProcess, r2: FakeR2, **changes: object) -> str:
    """Rent and check a machine that does not work; return its place."""
    process.provider = CaasDeploymentProvider()
    inputs, failures = process.check(h100(r2, **changes))
    assert not failures, failures
    machine = process.create(inputs)
    with pytest.raises(CallFailedError, match="does not work"):
        check(process, machine)
    assert process.diff(*machine, inputs) == (True, ["deployment"]), "the next update rents anew"
    offer = json.loads(machine[1]["offer"])
    return f"{offer['hardwareId']} {offer['country']}"


def test_the_next_update_takes_the_next_offer_up_to_so_many_attempts(process, caas, r2, runtime):
    runtime.status = REFUSED
    tried = [try_once(process, r2) for _ in range(3)]
    assert len(set(tried)) == 3
    assert "not: did not work on" in process.said()
    _, failures = process.check(h100(r2))
    (text,) = failures
    assert "run main has tried 3 machines, and none worked. Nothing was rented" in text
    assert text.count("gpu model (ordered H100 SXM, found NVIDIA H100 PCIe)") == 3
    assert "raise trainstack:attempts, which is 3" in text
    runtime.status = PASSED
    inputs, failures = process.check(h100(r2, attempts=4.0))
    assert not failures
    machine = process.create(inputs)
    check(process, machine)
    assert hours(caas, machine[0]) == 3


def test_what_was_tried_for_a_rerun_before_counts_no_more(process, caas, r2, runtime):
    runtime.status = REFUSED
    try_once(process, r2, attempts=1.0)
    assert process.check(h100(r2, attempts=1.0))[1]
    _, failures = process.check(h100(r2, attempts=1.0, identity="aaaaaaaa"))
    assert not failures


def test_an_image_that_cannot_be_pulled_is_no_attempt_and_makes_no_place_bad(process, caas, r2):
    machine = rent(process, r2, image="example/broken:1")
    with pytest.raises(CallFailedError, match="says 'Failed to pull image: manifest unknown'"):
        check(process, machine)
    assert entry(r2).refused == ""
    assert f"/{BUCKET}/bad-places.json" not in r2.objects
    again = process.check(planned(r2))
    assert again[1] == []
    assert process.create(again[0])[0] != machine[0]


def test_the_last_attempt_says_which_key_allows_another(process, caas, r2, runtime):
    machine = rent(process, r2, attempts=1.0)
    runtime.status = REFUSED
    with pytest.raises(CallFailedError, match="raise trainstack:attempts to try another"):
        check(process, machine)
    assert process.check(planned(r2, attempts=1.0))[1]
    assert not process.check(planned(r2, attempts=2.0))[1]


def test_giving_back_that_was_interrupted_goes_on_without_waiting_again(process, caas, r2, runtime):
    machine = rent(process, r2)
    runtime.status = REFUSED
    caas.behave(every_key_is_bad=True)
    with pytest.raises(CallFailedError):
        check(process, machine)
    page = Page.from_json(r2.objects[KEY])
    noted = page.edited(lambda _: True, refused="no heartbeat in 30 minutes")
    r2.objects[KEY] = noted.to_json()
    caas.behave(every_key_is_bad=False)
    runtime.status = PASSED
    with pytest.raises(CallFailedError, match="no heartbeat in 30 minutes"):
        check(process, machine)
    assert caas.details(machine[0])["status"] == "destroyed"
    assert [one.refused for one in Page.from_json(r2.objects[KEY]).entries] == [entry(r2).refused]


def test_a_bucket_whose_list_of_bad_places_is_damaged_rents_all_the_same(process, caas, r2):
    key = f"/{BUCKET}/{bad_places.KEY}"
    r2.objects[key] = b"{}"
    rent(process, r2)
    assert "Where a machine did not work may be chosen again" in process.said()
    assert "Delete that object to forget it" in process.said()
    del r2.objects[key]
    said = len(process.said())
    process.check(planned(r2, identity="aaaaaaaa", run="other"))
    assert "may be chosen again" not in process.said()[said:]


def test_a_machine_of_an_older_release_is_neither_checked_nor_given_back(
    process, caas, r2, runtime
):
    """Its state tells of no first hours, whatever the program asks for by now."""
    inputs, _ = process.check(deployment(r2.url))
    machine = process.create(inputs)
    news = process.check(planned(r2, durationHours=1.0), machine[1])[0]
    assert process.diff(*machine, news) == (False, [])
    runtime.status = REFUSED
    with pytest.raises(CallFailedError, match="It is still rented and billed"):
        check(process, machine)
    assert caas.details(machine[0])["status"] == "running"


@pytest.mark.parametrize(("age_s", "is_told"), [(0, True), (3600, False)])
def test_a_machine_that_refuses_itself_later_is_told_of_with_the_command_that_ends_it(
    process, caas, r2, age_s, is_told
):
    """Its container started anew and found a GPU less: page and notice told it, `up` did not."""
    machine = rent(process, r2)
    beat = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat()
    refuses = status(no_verdict=FORM, beat_at=beat)
    r2.objects[f"/{BUCKET}/{PREFIX}/status.json"] = refuses.to_json()
    assert process.diff(*machine, planned(r2, offer=machine[1]["offer"])) == (False, [])
    told = f"does not train, and bills: {FORM}. Give it back, then `pulumi up` rents another"
    assert (told in process.said()) is is_told
    assert ("python -m runs stop main --stack dev" in process.said()) is is_told
