"""The dynamic provider as the engine sees it: a process, called over gRPC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from components.ionet.provider import DeploymentReadyProvider, RunIdentityProvider
from container.contract.bought_time import BoughtTime
from tests.contract.caas_place import CaasPlace, eventually
from tests.provider.builders import IDENTITY, NAME, PREFIX, SECRETS, deployment
from tests.provider.conftest import BeatingRuntime
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import CallFailedError, Engine, Props, ProviderProcess


def names(caas: CaasPlace) -> list[str]:
    """Names of the deployments that bill."""
    rows = caas.call("GET", "deployments", params={"page_size": 100}).json()["data"]["deployments"]
    return [row["name"] for row in rows if row["status"] in ("running", "deployment requested")]


@pytest.fixture
def checked(process: ProviderProcess, r2: FakeR2) -> Props:
    """Inputs with an offer in them."""
    inputs, failures = process.check(deployment(r2.url))
    assert not failures
    return inputs


@pytest.fixture
def rented(process: ProviderProcess, checked: Props) -> tuple[str, Props]:
    """The id and the state of a deployment that was rented."""
    return process.create(checked)


def test_check_chooses_an_offer_and_says_what_it_costs(process, checked):
    assert '"hardwareId": 12' in checked["offer"]
    bought = "rents CPU in US at $0.40/h x 1 h = $0.40 + 2.25 % fees = $0.41 (cap $2.00)"
    assert f"main: {bought}" in process.said()
    assert "->CPU" in process.said()


def left_open(r2_url: str, **changes: object) -> Props:
    """Inputs of a config that says nothing of hours."""
    timed = {"gpu": "CPU", "hours": 1.8, "memoryGb": 0.0}
    props = deployment(r2_url, autoHours=True, timedFor=timed, maxCostUsd=9.0, **changes)
    return {key: value for key, value in props.items() if key != "durationHours"}


def test_hours_that_are_left_open_are_resolved_once(process, r2):
    """A better estimate, or another release's, neither extends nor replaces a live machine."""
    checked, failures = process.check(left_open(r2.url))
    assert not failures
    assert checked["durationHours"] == 3
    assert "recipe needs about 1.8 h here; buys 3 h" in process.said()
    deployment_id, state = process.create(checked)
    longer = {**left_open(r2.url), "timedFor": {"gpu": "CPU", "hours": 40.0, "memoryGb": 0.0}}
    again, failures = process.check(longer, checked)
    assert not failures
    assert again["durationHours"] == 3
    assert process.diff(deployment_id, state, again) == (False, [])


def test_a_machine_that_was_rented_for_a_number_keeps_it_when_the_config_says_nothing(
    process, r2, checked, rented
):
    deployment_id, state = rented
    again, failures = process.check(left_open(r2.url), checked)
    assert not failures
    assert again["durationHours"] == checked["durationHours"] == 1
    assert process.diff(deployment_id, state, again) == (False, [])


def test_hours_left_open_leave_an_adopted_machine_with_those_that_it_has(process, r2, checked):
    first, _ = process.create(checked)
    wanted, failures = process.check(left_open(r2.url))
    assert not failures
    again, state = process.create(wanted)
    assert (again, state["durationHours"]) == (first, 1)
    kept, _ = process.check(left_open(r2.url), wanted)
    assert process.diff(again, state, kept) == (False, [])


def test_check_of_a_rented_machine_asks_nobody(process, caas, checked):
    caas.stop()
    again, failures = process.check({**deployment("http://x"), "durationHours": 2.0}, checked)
    assert not failures
    assert again["offer"] == checked["offer"]
    caas.start()


def test_check_refuses_an_offer_above_the_cap_and_says_by_how_much(process, r2):
    _, failures = process.check(deployment(r2.url, durationHours=9.0))
    (reason,) = failures
    assert reason.startswith(
        "CPU in US at $0.40/h x 9 h would cost $3.68, above the cap of $2.00. Nothing was rented."
    )


def test_a_refusal_shows_the_candidates_and_what_stands_against_each(process, r2):
    _, failures = process.check(deployment(r2.url, durationHours=8.0))
    assert failures
    said = process.said()
    assert "machine" in said
    assert "not: above maxCostUsd" in said


def test_a_preview_of_a_live_machine_tells_how_its_hours_compare(process, r2):
    """Not only where one is rented: a machine that has too few is extended in time."""
    inputs, _ = process.check(left_open(r2.url))
    rented = process.create(inputs)
    process.diff(*rented, inputs)
    assert "recipe needs about 1.8 h here; 3 h are bought; more hours extend" in process.said()


def test_check_works_in_a_preview_that_knows_little(process, r2):
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    inputs, failures = process.check(
        deployment(r2.url, image=unknown, credentialsExpireOn=unknown, accessKeyId=unknown)
    )
    assert not failures
    assert inputs["image"] == unknown
    assert "offer" in inputs


def test_check_refuses_credentials_that_end_before_the_run(process, r2):
    _, failures = process.check(deployment(r2.url, credentialsExpireOn="2020-01-01T00:00:00Z"))
    assert "expire at 2020-01-01" in failures[0]


def test_create_rents_with_secrets_apart_and_returns_the_whole_state(process, caas, rented):
    deployment_id, state = rented
    assert names(caas) == [NAME]
    config = caas.details(deployment_id)["container_config"]
    assert sorted(config["secret_env_keys"]) == [
        "ACCESS_TOKEN",
        "R2_ACCESS_KEY_ID",
        "R2_SECRET_ACCESS_KEY",
    ]
    assert config["env_variables"]["PRICE_USD_PER_HOUR"] == "0.4"
    assert config["env_variables"]["DURATION_HOURS"] == "1"
    assert state["estimatedCostUsd"] == 0.41
    assert {key: state[key] for key in SECRETS} == SECRETS


def test_create_called_again_adopts_what_the_first_call_rented(process, caas, checked, rented):
    again, _ = process.create(checked)
    assert again == rented[0]
    assert len(names(caas)) == 1


def test_an_adopted_machine_is_extended_to_what_the_program_wants_by_now(
    process, caas, checked, rented
):
    """A kill after the rental of one hour, then a config of three: two were never bought."""
    caas.until(rented[0], "running")
    again, state = process.create({**checked, "durationHours": 3.0, "maxCostUsd": 9.0})
    assert (again, state["durationHours"]) == (rented[0], 1)
    longer = {**checked, "durationHours": 3.0, "maxCostUsd": 9.0}
    assert process.diff(again, state, longer) == (True, [])


@pytest.mark.parametrize(
    "behaviour",
    [
        {"lose_reply": "cut"},
        {"lose_reply": "504"},
        {"lose_reply": "504", "list_delay_s": 1.0},
        {"deploy_answer": "empty"},
        {"deploy_answer": "wrapped"},
        {"deploy_answer": "cluster_id"},
        {"page": "zero_based"},
        {"page": "one_based"},
        {"status_case": "upper"},
    ],
    ids=str,
)
def test_create_rents_exactly_one_machine_however_the_vendor_answers(
    process, caas, checked, behaviour
):
    caas.behave(**behaviour)
    deployment_id, _ = process.create(checked)
    assert caas.details(deployment_id)["id"] == deployment_id
    caas.behave(status_case="lower", page="zero_and_one")
    eventually(lambda: names(caas) == [NAME])


def test_create_rents_nothing_when_its_engine_was_killed(process, caas, checked, engine: Engine):
    engine.kill()
    with pytest.raises(CallFailedError, match="engine has ended"):
        process.create(checked)
    assert names(caas) == []


def test_create_gives_back_a_machine_that_the_same_run_rented_with_other_inputs(
    process, caas, checked, rented
):
    """A kill between the rental and the state, then a change of the config: the old one bills."""
    env = {**checked["env"], "RECIPE_SETTINGS": '{"num_iterations": 7}'}
    changed = {**checked, "env": env, "privateName": NAME[:-4] + "0002"}
    process.create(changed)
    assert names(caas) == [NAME[:-4] + "0002"]


def test_create_leaves_other_runs_alone(process, caas, checked):
    caas.deploy("trainstack-dev-main-ffffffff-cafe0001")
    process.create(checked)
    assert len(names(caas)) == 2


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_create_does_not_pay_again_for_a_run_that_has_ended(process, caas, r2, checked, outcome):
    r2.put_verdict(PREFIX, outcome)
    with pytest.raises(CallFailedError, match="Raise trainstack:rerun"):
        process.create(checked)
    assert names(caas) == []


def test_create_goes_on_with_a_run_that_was_stopped_by_its_replacement(process, caas, r2, checked):
    r2.put_verdict(PREFIX, "stopped")
    process.create(checked)
    assert names(caas) == [NAME]
    kept = {key for key in r2.objects if key.startswith(f"/{BUCKET}/{PREFIX}/verdict")}
    assert kept == {f"/{BUCKET}/{PREFIX}/verdicts/1-stopped.json"}


def test_create_refuses_when_the_price_has_risen_above_the_cap(process, caas, r2, checked):
    with pytest.raises(CallFailedError, match="above the cap"):
        process.create({**checked, "durationHours": 24.0})
    assert names(caas) == []


def test_an_unchanged_program_changes_nothing_when_the_vendor_is_away_and_says_so(
    process, caas, r2, checked, rented
):
    caas.stop()
    r2.refuse = "InternalError"
    assert process.diff(*rented, checked) == (False, [])
    assert process.diff(*rented, checked) == (False, [])
    assert process.said().count("whether the machines live was not checked") == 1
    caas.start()


def test_diff_replaces_a_live_run_that_wants_other_gpus(process, checked, rented):
    assert process.diff(*rented, {**checked, "gpuType": "H100"}) == (True, ["gpuType"])


def test_a_live_run_keeps_the_image_that_it_was_rented_with_and_says_so(
    process, caas, r2, checked, rented
):
    assert process.diff(*rented, {**checked, "image": "x@sha256:1"}) == (False, [])
    assert "main: keeps the image that it was rented with" in process.said()
    assert "raise trainstack:renew" in process.said()


def test_an_extension_leaves_the_image_of_the_machine_in_the_state(process, caas, checked, rented):
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    longer = {**checked, "durationHours": 3.0, "image": "x@sha256:1", "privateName": "another"}
    assert process.diff(deployment_id, state, longer) == (True, [])
    after = process.update(deployment_id, state, longer)
    assert {key: after[key] for key in ("image", "privateName", "env")} == {
        key: state[key] for key in ("image", "privateName", "env")
    }
    assert process.diff(deployment_id, after, longer) == (False, [])


def test_diff_keeps_a_run_that_has_its_verdict_and_says_so(process, r2, checked, rented):
    r2.put_verdict(PREFIX, "succeeded")
    changed = {**checked, "gpuType": "H100", "secretAccessKey": "new", "durationHours": 9.0}
    assert process.diff(*rented, changed) == (False, [])
    assert "main: has its verdict (succeeded) and is not rented again, although gpuType" in (
        process.said()
    )


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "stopped"])
def test_an_update_that_changes_nothing_says_that_an_ended_runs_machine_is_still_rented(
    process, caas, r2, checked, rented, outcome
):
    caas.until(rented[0], "running")
    assert process.diff(*rented, checked) == (False, [])
    assert "RENTED" not in process.said()
    r2.put_verdict(PREFIX, outcome)
    assert process.diff(*rented, checked) == (False, [])
    said = process.said()
    assert f"main: {outcome}; charged $0.41 (1 h prepaid, $0.40 of it used); machine STILL" in said
    assert "`pulumi destroy --stack dev` gives it back" in said


def test_diff_reads_the_verdict_with_the_runs_own_access_when_the_operators_is_refused(
    process, r2, checked, rented
):
    r2.operator_is_known = False
    r2.put_verdict(PREFIX, "failed")
    assert process.diff(*rented, {**checked, "gpuType": "H100"}) == (False, [])


def test_diff_fails_rather_than_guess_when_the_bucket_does_not_answer(process, r2, checked, rented):
    r2.refuse = "AccessDenied"
    with pytest.raises(CallFailedError, match="not known whether the run has ended"):
        process.diff(*rented, {**checked, "gpuType": "H100"})


def test_diff_takes_a_raised_rerun_as_another_run_although_the_old_has_ended(
    process, r2, checked, rented
):
    r2.put_verdict(PREFIX, "succeeded")
    changes, replaces = process.diff(*rented, {**checked, "identity": "99999999"})
    assert (changes, replaces) == (True, ["identity"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"durationHours": 0.0}, "cannot be given back in part: 1 were bought"),
        ({"durationHours": 24.0}, "above the cap of"),
    ],
    ids=["fewer hours", "more hours above the cap"],
)
def test_diff_refuses_what_a_live_run_cannot_take(process, checked, rented, change, message):
    with pytest.raises(CallFailedError, match=message) as failed:
        process.diff(*rented, {**checked, **change})
    assert "planted" not in str(failed.value)


def test_update_extends_once_however_often_it_is_called(process, caas, checked, rented):
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    longer = {**checked, "durationHours": 3.0}
    assert process.diff(deployment_id, state, longer) == (True, [])
    after = process.update(deployment_id, state, longer)
    process.update(deployment_id, state, longer)  # as after a kill before the state was written
    details = caas.details(deployment_id)
    bought = details["compute_minutes_served"] + details["compute_minutes_remaining"]
    assert round(bought / 60) == 3
    assert after["estimatedCostUsd"] == 1.23
    assert process.diff(deployment_id, after, longer) == (False, [])


def test_diff_refuses_an_extension_that_outlives_the_runs_credentials(process, caas, rented):
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    end = (datetime.now(UTC) + timedelta(hours=4)).isoformat()
    short = {**state, "credentialsExpireOn": end}
    longer = {**short, "durationHours": 3.0, "maxCostUsd": 9.0}
    with pytest.raises(CallFailedError, match="Nothing was bought"):
        process.diff(deployment_id, short, longer)
    assert process.diff(deployment_id, state, {**state, "durationHours": 3.0}) == (True, [])


def test_read_changes_nothing_while_the_machine_lives(process, checked, rented):
    deployment_id, state = rented
    found = process.read(deployment_id, state)
    assert found == (deployment_id, state, checked)


def test_read_keeps_an_ended_run_that_has_its_verdict(process, caas, r2, rented):
    deployment_id, state = rented
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    r2.put_verdict(PREFIX, "succeeded")
    assert process.read(deployment_id, state)[0] == deployment_id


def test_read_finds_a_machine_gone_that_ended_without_a_verdict(process, caas, rented):
    deployment_id, state = rented
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")
    assert process.read(deployment_id, state)[0] == ""


@pytest.mark.parametrize("answer", ["401", "403", "400_key_set", "400_words", "400_message"])
def test_a_bad_key_is_never_taken_for_absence(process, caas, rented, answer):
    deployment_id, state = rented
    caas.behave(bad_key=answer, every_key_is_bad=True)
    with pytest.raises(CallFailedError, match="refused the API key"):
        process.delete(deployment_id, state)
    with pytest.raises(CallFailedError, match="refused the API key"):
        process.read(deployment_id, state)
    caas.behave(every_key_is_bad=False)
    assert names(caas) == [NAME]


@pytest.mark.parametrize("answer", ["400", "404"])
def test_delete_returns_when_the_machine_is_gone_and_can_be_called_again(
    process, caas, rented, answer
):
    deployment_id, state = rented
    caas.behave(delete_ended=answer, termination_s=0.5)
    process.delete(deployment_id, state)
    assert caas.details(deployment_id)["status"] == "destroyed"
    process.delete(deployment_id, state)
    assert f"rm --bucket {BUCKET} --prefix {PREFIX}" in process.said()


def test_delete_refuses_inside_the_other_world(process, rented):
    with pytest.raises(CallFailedError, match="must not be set for a paid run"):
        process.delete(rented[0], {**rented[1], "cloud": "io.net"})


def test_nothing_that_is_said_holds_a_secret(process, caas, r2, checked, rented):
    caas.behave(funds="refused")
    with pytest.raises(CallFailedError) as failed:
        process.create({**checked, "privateName": NAME + "x", "namePrefix": NAME + "x"})
    text = process.said() + str(failed.value)
    assert "planted" not in text
    assert "Traceback" not in text
    assert "io-v2-test-key" not in text


def ready_inputs(deployment_id: str, r2: FakeR2, **changes: object) -> Props:
    wanted = deployment(r2.url)
    kept = ("cloud", "run", "accountId", "r2Endpoint", "bucket", "r2Prefix")
    return {
        "deploymentId": deployment_id,
        "timeoutMinutes": 1.0,
        **{key: wanted[key] for key in kept},
        **changes,
    }


def test_ready_waits_for_the_runs_own_status_and_gives_its_address(
    process, r2, rented, runtime: BeatingRuntime
):
    process.provider = DeploymentReadyProvider()
    _, state = process.create(ready_inputs(rented[0], r2))
    assert state["statusUrl"].startswith("http://127.0.0.1:")
    assert "first heartbeat after" in process.said()


def test_ready_fails_when_the_time_is_over_and_the_machine_stays_rented(
    process, caas, r2, rented, runtime: BeatingRuntime
):
    runtime.status = None
    process.provider = DeploymentReadyProvider()
    with pytest.raises(CallFailedError, match="It is still rented and stays in the state"):
        process.create(ready_inputs(rented[0], r2, timeoutMinutes=0.02))
    assert names(caas) == [NAME]


def test_ready_of_a_run_that_has_ended_needs_no_heartbeat(process, caas, r2, rented):
    caas.call("DELETE", f"deployment/{rented[0]}")
    caas.until(rented[0], "destroyed")
    process.provider = DeploymentReadyProvider()
    with pytest.raises(CallFailedError, match="is destroyed before its first heartbeat"):
        process.create(ready_inputs(rented[0], r2))
    r2.put_verdict(PREFIX, "succeeded")
    _, state = process.create(ready_inputs(rented[0], r2))
    assert state["statusUrl"] == ""


def test_ready_waits_again_for_another_deployment_only(process, r2):
    process.provider = DeploymentReadyProvider()
    old = ready_inputs("a", r2)
    assert process.diff("a", old, {**old, "timeoutMinutes": 9.0}) == (False, [])
    other = {**old, "deploymentId": "b"}
    assert process.diff("a", old, other, deletes_first=False) == (True, ["deploymentId"])


def test_identities_are_random_and_stay_until_rerun_is_raised(process):
    process.provider = RunIdentityProvider()
    first, state = process.create({"run": "main", "rerun": 0.0})
    second, _ = process.create({"run": "main", "rerun": 0.0})
    assert first != second
    assert len(first) == 8
    assert len(state["accessToken"]) >= 32
    assert process.diff(first, state, {"run": "main", "rerun": 0.0}) == (False, [])
    raised = {"run": "main", "rerun": 1.0}
    assert process.diff(first, state, raised, deletes_first=False) == (True, ["rerun"])


def test_a_deleted_identity_gives_back_what_a_killed_engine_rented_and_no_state_knows(
    process, caas, rented
):
    """Destroy after `kill -9` between the rental and the state: the machine billed on, unknown."""
    caas.deploy("trainstack-dev-main-ffffffff-cafe0001")
    process.provider = RunIdentityProvider()
    stem = "trainstack-dev-main"
    process.delete(IDENTITY, {"run": "main", "rerun": 0.0, "cloud": "local", "nameStem": stem})
    assert names(caas) == ["trainstack-dev-main-ffffffff-cafe0001"]
    assert rented[0] in process.said()


def test_an_identity_is_not_forgotten_while_the_vendor_gives_no_answer(process, caas, rented):
    process.provider = RunIdentityProvider()
    caas.behave(bad_key="403", every_key_is_bad=True)
    state = {"run": "main", "rerun": 0.0, "cloud": "local", "nameStem": "trainstack-dev-main"}
    with pytest.raises(CallFailedError, match="refused the API key"):
        process.delete(IDENTITY, state)


def test_an_identity_of_an_older_stack_can_be_deleted(process, caas, rented):
    process.provider = RunIdentityProvider()
    process.delete(IDENTITY, {"run": "main", "rerun": 0.0})
    assert names(caas) == [NAME]


def told_end(r2) -> tuple[str, int, float]:
    """Return rental, hours and the hours from now to their end, as the run is told."""
    told = BoughtTime.from_json(r2.objects[f"/{BUCKET}/{PREFIX}/bought.json"])
    assert told.end is not None
    left_h = (told.end - datetime.now(UTC)).total_seconds() / 3600
    return told.rental, told.hours, left_h


def test_a_run_is_told_until_when_its_machine_is_paid_and_of_more_hours(
    process, caas, r2, checked, rented
):
    deployment_id, state = rented
    assert told_end(r2) == (NAME, 1, pytest.approx(1.0, abs=0.05))
    env = caas.details(deployment_id)["container_config"]["env_variables"]
    assert env["RENTAL_NAME"] == NAME, "by which its container knows that it is meant"
    caas.until(deployment_id, "running")
    process.update(deployment_id, state, {**checked, "durationHours": 3.0})
    assert told_end(r2) == (NAME, 3, pytest.approx(3.0, abs=0.05))


def test_a_run_that_cannot_be_told_of_more_hours_is_told_by_the_next_update(
    process, caas, r2, checked, rented
):
    """They would be paid, and the run stop when the old ones end."""
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    longer = {**checked, "durationHours": 3.0}
    r2.refuses_words = "bought.json"
    with pytest.raises(CallFailedError, match="it tells the run, and buys nothing twice"):
        process.update(deployment_id, state, longer)
    r2.refuses_words = ""
    assert process.diff(deployment_id, state, longer) == (True, [])
    assert process.update(deployment_id, state, longer)["estimatedCostUsd"] == 1.23
    assert told_end(r2) == (NAME, 3, pytest.approx(3.0, abs=0.05))


def test_a_machine_is_rented_though_its_run_cannot_be_told_its_end(process, caas, r2, checked):
    r2.refuses_words = "bought.json"
    process.create(checked)
    assert names(caas) == [NAME]
    assert "It does not know when its bought hours end" in process.said()


@pytest.mark.parametrize("reason", ["hours over", "stopped on request (SIGTERM)"])
def test_a_run_that_was_stopped_goes_on_on_another_machine(process, caas, r2, checked, reason):
    r2.put_verdict(PREFIX, "stopped", reason=reason)
    process.create(checked)
    assert names(caas) == [NAME]
    assert f"/{BUCKET}/{PREFIX}/verdict.json" not in r2.objects
    assert f"/{BUCKET}/{PREFIX}/verdicts/1-stopped.json" in r2.objects
