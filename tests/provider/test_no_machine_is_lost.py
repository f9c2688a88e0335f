"""What was seen to lose, double or forget a machine, each through a provider process of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.ionet.provider import CaasDeploymentProvider, RunIdentityProvider
from components.ledger.page import Owner, Page
from tests.contract.caas_place import CaasPlace
from tests.provider.builders import IDENTITY, NAME, PREFIX, deployment
from tests.provider.conftest import NewProcess
from tests.provider.fake_r2 import ACCOUNT, BUCKET, FakeR2
from tests.provider.process import CallFailedError, Props, ProviderProcess
from tests.provider.test_process import names

KEY = f"/{BUCKET}/{Owner(project='trainstack', stack='dev', run='main').key}"
IDENTITY_STATE: Props = {
    "run": "main",
    "rerun": 0.0,
    "cloud": "local",
    "nameStem": "trainstack-dev-main",
    "project": "trainstack",
    "stack": "dev",
    "accountId": ACCOUNT,
    "bucket": BUCKET,
}


def page(r2: FakeR2) -> Page:
    return Page.from_json(r2.objects[KEY])


def checked(process: ProviderProcess, r2: FakeR2, **changes: Any) -> Props:
    inputs, failures = process.check(deployment(r2.url, **changes))
    assert not failures, failures
    return inputs


@pytest.fixture
def rented(new_process: NewProcess, r2: FakeR2) -> tuple[str, Props]:
    process = new_process()
    return process.create(checked(process, r2))


def test_the_ledger_tells_of_each_rental_from_its_intent_to_its_end(new_process, r2, rented):
    (entry,) = page(r2).entries
    assert (entry.state, entry.deployment_id, entry.name) == ("rented", rented[0], NAME)
    assert (entry.identity, str(entry.usd), entry.hours) == (IDENTITY, "0.409", 1)
    new_process().delete(*rented)
    (entry,) = page(r2).entries
    assert entry.state == "given back"


def test_nothing_is_rented_that_cannot_be_recorded(new_process, caas, r2):
    process = new_process()
    wanted = checked(process, r2)
    r2.refuse = "AccessDenied"
    with pytest.raises(CallFailedError, match="Nothing was rented, as a machine that is not rec"):
        process.create(wanted)
    assert names(caas) == []


def test_a_machine_that_holds_another_token_is_not_adopted(new_process, caas, r2, rented):
    """Seen: the token was replaced once more, and the machine with the old one was adopted."""
    process = new_process()
    other = {"accessKeyId": "another-key", "secretAccessKey": "planted-another"}
    found, _ = process.create(checked(process, r2, **other))
    assert found != rented[0]
    assert len(names(caas)) == 1
    assert "rented by this run with other inputs" in process.said()
    assert [entry.state for entry in page(r2).entries] == ["given back", "rented"]


def test_an_adopted_machine_keeps_in_the_state_what_it_was_rented_with(new_process, r2, rented):
    process = new_process()
    wanted = checked(process, r2, image="127.0.0.1:5000/x@sha256:1")
    found, state = process.create(wanted)
    assert found == rented[0]
    assert state["image"] == rented[1]["image"]
    assert process.diff(found, state, wanted) == (False, [])


def test_a_machine_of_a_release_without_a_fingerprint_is_adopted(new_process, caas, r2):
    """As commit 6636e89 rented: another name, the digest among the variables, no mark."""
    env = deployment(r2.url)["env"]
    variables = {**env, "IMAGE_DIGEST": "x@sha256:1", "DURATION_HOURS": "1", "WANDB_RUN": "dummy"}
    rented = caas.deploy(NAME[:-8] + "0ldf0rm0", env_variables=variables)
    process = new_process()
    found, state = process.create(checked(process, r2))
    assert found == rented
    assert state["privateName"] == NAME[:-8] + "0ldf0rm0"
    (entry,) = page(r2).entries
    assert (entry.state, entry.deployment_id) == ("rented", rented)


@pytest.mark.parametrize("answer", ["00000000-0000-4000-8000-00000000dead", "no-uuid-at-all"])
def test_an_id_counts_when_the_vendor_shows_our_machine_under_it(
    new_process, caas, r2, rented, answer
):
    """A state with an ID that is no deployment's: refused with 422 for ever; now found by name."""
    process = new_process()
    changes, _ = process.diff(answer, rented[1], checked(process, r2))
    assert not changes
    process.delete(answer, rented[1])
    assert names(caas) == []


def test_another_accounts_key_is_never_taken_for_absence(new_process, caas, r2, rented):
    deployment_id, state = rented
    unknown = "00000000-0000-4000-8000-000000000001"  # as every ID is to another account
    state = {**state, "privateName": "trainstack-of-another-account"}
    process = new_process()
    with pytest.raises(CallFailedError) as failed:
        process.delete(unknown, state)
    text = str(failed.value)
    assert "unknown to the io.net account of the key in IOCLOUD_API_KEY" in text
    assert f"TRAINSTACK_FORGET_DEPLOYMENT={unknown} pulumi destroy" in text
    assert process.read(unknown, state)[0] == unknown
    assert process.diff(unknown, state, checked(process, r2)) == (False, [])
    assert "Another account may have rented it" in process.said()
    assert deployment_id


def test_a_machine_that_nobody_shows_is_forgotten_by_a_deliberate_act(new_process, rented):
    unknown = "00000000-0000-4000-8000-000000000001"
    state = {**rented[1], "privateName": "trainstack-of-another-account"}
    process = new_process(TRAINSTACK_FORGET_DEPLOYMENT=unknown)
    process.delete(unknown, state)
    assert "forgotten, as TRAINSTACK_FORGET_DEPLOYMENT says" in process.said()


def test_a_machine_that_nobody_shows_counts_as_ended_a_day_after_its_hours(new_process, rented):
    long_ago = (datetime.now(UTC) - timedelta(hours=26)).isoformat()
    state = {**rented[1], "privateName": "trainstack-of-another-account", "rentedAt": long_ago}
    process = new_process()
    process.delete("00000000-0000-4000-8000-000000000001", state)
    assert "its 1 h have been over for more than a day" in process.said()


def end(caas: CaasPlace, deployment_id: str) -> None:
    caas.call("DELETE", f"deployment/{deployment_id}")
    caas.until(deployment_id, "destroyed")


def test_a_machine_that_has_ended_is_not_said_to_keep_its_image(new_process, caas, r2, rented):
    """What is rented anew gets the newest image: "keeps the image" stood beside it."""
    deployment_id, state = rented
    end(caas, deployment_id)
    process = new_process()
    wanted = {**checked(process, r2), "image": "x@sha256:1"}
    assert process.diff(deployment_id, state, wanted) == (True, ["deployment"])
    assert "It is rented anew" in process.said()
    assert "keeps the image" not in process.said()


@pytest.mark.parametrize("verdict", [None, "stopped"])
def test_a_machine_that_somebody_deleted_is_rented_anew_by_a_plain_update(
    new_process, caas, r2, rented, verdict
):
    deployment_id, state = rented
    end(caas, deployment_id)
    marker = f"/{BUCKET}/{PREFIX}/checkpoints/base/d2/complete_000040.json"
    r2.objects[marker] = b"{}"
    if verdict:
        r2.put_verdict(PREFIX, verdict)
    process = new_process()
    changes, replaces = process.diff(deployment_id, state, checked(process, r2))
    assert (changes, replaces) == (True, ["deployment"])
    assert "has ended before its hours were over. It is rented anew" in process.said()
    again = checked(process, r2)
    assert "= $0.41 (cap $2.00; this run cost $0.41 so far)" in process.said()
    process.delete(deployment_id, state)
    process.create(again)
    assert len(names(caas)) == 1


def test_what_earlier_rentals_cost_counts_against_the_cap(new_process, caas, r2, rented):
    end(caas, rented[0])
    process = new_process()
    inputs, failures = process.check(deployment(r2.url, durationHours=4.0))
    (reason,) = failures
    assert "would cost $1.64 after $0.41 that this run cost so far, above the cap of $2" in reason
    assert inputs["durationHours"] == 4


def test_hours_that_are_over_are_said_and_nothing_is_bought(new_process, caas, r2, rented):
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    caas.time.advance(hours=1.1)
    caas.until(deployment_id, "completed")
    process = new_process()
    wanted = checked(process, r2)
    assert process.diff(deployment_id, state, wanted) == (False, [])
    assert "its 1 h are over, and its run has not ended" in process.said()
    assert process.read(deployment_id, state)[0] == deployment_id
    with pytest.raises(CallFailedError, match="config set trainstack:renew 1"):
        process.diff(deployment_id, state, {**wanted, "durationHours": 2.0})
    assert process.diff(deployment_id, state, {**wanted, "renew": 1.0}) == (True, ["renew"])


def test_another_identitys_live_machine_is_refused_with_the_command_that_mends_it(
    new_process, caas, r2, rented
):
    """The state was lost, or a second backend is used: two machines trained one run."""
    for what in ("check", "create"):
        process = new_process()
        wanted = deployment(
            r2.url,
            identity="99999999",
            namePrefix="trainstack-dev-main-99999999-",
            privateName="trainstack-dev-main-99999999-cafe0001",
        )
        if what == "check":
            _, (text,) = process.check(wanted)
        else:
            with pytest.raises(CallFailedError) as failed:
                process.create({**wanted, "offer": rented[1]["offer"]})
            text = str(failed.value)
        assert f"has a live machine already, {rented[0]}" in text
        assert f"python -m runs reap {rented[0]} --stack dev --yes" in text
    assert names(caas) == [NAME]


def test_a_machine_that_only_the_vendor_knows_is_told_by_its_own_variables(new_process, caas, r2):
    """Rented by an older release for a state that is lost; and one whose name begins alike."""
    env = {"RUN_NAME": "eu-main", "R2_BUCKET": BUCKET, "RUN_PREFIX": "dev-eu-main-77777777-0"}
    caas.deploy("trainstack-dev-eu-main-77777777-cafe0001", env_variables=env)
    process = new_process()
    alike = {
        "stack": "dev-eu",
        "namePrefix": f"trainstack-dev-eu-main-{IDENTITY}-",
        "privateName": f"trainstack-dev-eu-main-{IDENTITY}-cafe0001",
    }
    assert process.check(deployment(r2.url, **alike))[1] == []
    of_eu_main = {**alike, "stack": "dev", "run": "eu-main"}
    _, failures = process.check(deployment(r2.url, **of_eu_main))
    assert "run eu-main of stack dev has a live machine already" in failures[0]


def test_an_extension_is_quoted_when_it_is_bought_and_the_cap_holds(new_process, caas, r2, rented):
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    process = new_process()
    longer = {**checked(process, r2), "durationHours": 5.0, "maxCostUsd": 2.0}
    with pytest.raises(CallFailedError) as failed:
        process.update(deployment_id, state, longer)
    text = str(failed.value)
    assert "4 h more of CPU in US at $0.40/h would cost $1.64 after $0.41" in text
    assert "Nothing was bought; the machine runs on until its hours are over." in text
    assert caas.details(deployment_id)["amount_paid"] == 0.409


def test_a_deleted_identity_marks_itself_and_nothing_is_rented_for_it_after(
    new_process, caas, r2, rented
):
    process = new_process()
    process.provider = RunIdentityProvider()
    process.delete(IDENTITY, IDENTITY_STATE)
    assert names(caas) == []
    assert page(r2).closing == (IDENTITY,)
    process.provider = CaasDeploymentProvider()
    with pytest.raises(CallFailedError, match="start anew: pulumi destroy"):
        process.create({**deployment(r2.url), "offer": rented[1]["offer"]})
    assert names(caas) == []


def test_a_deleted_identity_waits_for_an_intent_that_may_still_show(new_process, caas, r2, rented):
    """A machine in no list yet, of an engine that was killed right after its request."""
    members = json.loads(r2.objects[KEY])
    seconds_left = 4
    asked = datetime.now(UTC) - timedelta(seconds=170 - seconds_left)
    members["entries"][0] |= {
        "intent": "interrupted",
        "name": f"trainstack-dev-main-{IDENTITY}-late0001",
        "state": "asked",
        "deployment_id": "",
        "asked_at": asked.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    r2.objects[KEY] = json.dumps(members).encode()
    process = new_process()
    process.provider = RunIdentityProvider()
    process.delete(IDENTITY, IDENTITY_STATE)
    assert "io.net may show its machine late: looking for it for" in process.said()
    assert [entry.state for entry in page(r2).entries] == ["lost"]
    assert "never shown by io.net: noted as lost" in process.said()


def test_no_token_outlives_its_run_whether_a_state_knows_it_or_not(new_process, r2):
    r2.tokens = {
        "t1": f"trainstack-dev-main-{IDENTITY}",
        "t2": f"trainstack-dev-main-{IDENTITY}-1",
        "t3": "trainstack-dev-main-99999999",
        "t4": f"trainstack-dev-main-{IDENTITY}0",
    }
    process = new_process()
    process.provider = RunIdentityProvider()
    process.delete(IDENTITY, IDENTITY_STATE)
    assert sorted(r2.tokens) == ["t3", "t4"]


def test_a_rental_revokes_the_runs_other_tokens_and_keeps_its_own(new_process, r2):
    own = deployment(r2.url)["accessKeyId"]
    r2.tokens = {"lost": f"trainstack-dev-main-{IDENTITY}", own: f"trainstack-dev-main-{IDENTITY}"}
    process = new_process()
    process.create(checked(process, r2))
    assert list(r2.tokens) == [own]
