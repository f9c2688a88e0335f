"""What a refusal tells its reader to do is done, through a provider process, and helps."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from components.ionet.provider import DeploymentReadyProvider
from tests.contract.caas_place import CaasPlace
from tests.provider.builders import NAME, deployment
from tests.provider.conftest import BeatingRuntime
from tests.provider.fake_r2 import FakeR2
from tests.provider.process import CallFailedError, Props, ProviderProcess
from tests.provider.test_no_machine_is_lost import NewProcess, new_process
from tests.provider.test_process import checked, names, ready_inputs, rented

__all__ = ["checked", "new_process", "rented"]  # fixtures


def refusal(process: ProviderProcess, rented: tuple[str, Props], wanted: Props) -> str:
    with pytest.raises(CallFailedError) as failed:
        process.diff(*rented, wanted)
    return " ".join(str(failed.value).split())


def test_hours_set_back_as_told_leave_the_machine_as_it_is(process, checked, rented):
    said = refusal(process, rented, {**checked, "durationHours": 0.0})
    back = re.search(r"Set trainstack:durationHours back to (\d+)", said)
    assert back
    assert process.diff(*rented, {**checked, "durationHours": float(back[1])}) == (False, [])


def test_an_old_key_put_back_is_no_change_and_a_new_one_goes_with_renew(process, checked, rented):
    new = {**checked, "wandbApiKey": "planted-new-key"}
    said = refusal(process, rented, new)
    assert "Put the old value back; or raise trainstack:renew" in said
    assert process.diff(*rented, checked) == (False, [])
    changes, replaces = process.diff(*rented, {**new, "renew": 1.0})
    assert changes
    assert "renew" in replaces


@pytest.mark.parametrize("way", [{"maxCostUsd": 4.0}, {"durationHours": 4.0}])
def test_a_raised_cap_or_fewer_hours_are_rented(process, caas, r2, way):
    dear = deployment(r2.url, durationHours=9.0)
    _, (said,) = process.check(dear)
    assert "Raise trainstack:maxCostUsd, or ask for fewer hours" in said
    inputs, failures = process.check({**dear, **way})
    assert not failures
    process.create(inputs)
    assert names(caas) == [NAME]


@pytest.mark.parametrize("way", ["fewer hours", "renew"])
def test_credentials_that_end_too_early_are_enough_for_fewer_hours_or_made_anew(process, r2, way):
    soon = (datetime.now(UTC) + timedelta(hours=3.5)).isoformat()
    short = deployment(r2.url, durationHours=4.0, credentialsExpireOn=soon)
    _, (said,) = process.check(short)
    assert "Ask for fewer hours, or raise trainstack:renew: new credentials" in said
    ways = {
        "fewer hours": {"durationHours": 1.0},
        "renew": {"renew": 1.0, "credentialsExpireOn": "2999-01-01T00:00:00Z"},
    }
    _, failures = process.check({**short, **ways[way]})
    assert not failures


def elsewhere(inputs: Props) -> Props:
    """Return inputs or a state whose offer no catalogue knows any more."""
    offer = {**json.loads(inputs["offer"]), "hardwareId": 4711}
    return {**inputs, "offer": json.dumps(offer)}


def test_when_the_chosen_offer_is_gone_another_update_chooses_anew(process, caas, r2, checked):
    with pytest.raises(CallFailedError, match="was chosen and is gone"):
        process.create(elsewhere(checked))
    again, failures = process.check(deployment(r2.url))  # nothing is in the state
    assert not failures
    process.create(again)
    assert names(caas) == [NAME]


def test_where_no_price_is_quoted_the_old_hours_leave_the_machine_running(process, caas, rented):
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    gone = elsewhere(state)
    longer = {**gone, "durationHours": 2.0}
    with pytest.raises(CallFailedError, match="Set trainstack:durationHours back") as failed:
        process.diff(deployment_id, gone, longer)
    assert "Nothing was bought" in str(failed.value)
    assert process.diff(deployment_id, gone, gone) == (False, [])
    assert names(caas) == [NAME]


def test_a_state_without_an_offer_is_left_alone_at_its_old_hours(process, caas, rented):
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    bare = {key: value for key, value in state.items() if key != "offer"}
    with pytest.raises(CallFailedError, match="Set trainstack:durationHours back"):
        process.diff(deployment_id, bare, {**bare, "durationHours": 2.0})
    assert process.diff(deployment_id, bare, bare) == (False, [])


def test_a_machine_without_a_heartbeat_is_waited_for_again_or_given_back(
    process, caas: CaasPlace, r2: FakeR2, rented, runtime: BeatingRuntime
):
    beats, runtime.status = runtime.status, None
    process.provider = DeploymentReadyProvider()
    with pytest.raises(CallFailedError, match="`pulumi up` waits again"):
        process.create(ready_inputs(rented[0], r2, timeoutMinutes=0.02))
    runtime.status = beats
    _, state = process.create(ready_inputs(rented[0], r2))
    assert state["statusUrl"]


def test_the_right_key_opens_what_a_wrong_one_did_not(new_process: NewProcess, caas, r2):
    for key, said in (("", "there is no io.net key"), ("wrong", "io.net refused the API key")):
        _, (why,) = new_process(IONET_API_KEY=key).check(deployment(r2.url))
        assert said in why
        assert "set IONET_API_KEY" in why
    _, failures = new_process(IONET_API_KEY="io-v2-test-key").check(deployment(r2.url))
    assert not failures


def test_the_operators_token_tells_what_was_not_known_without_one(
    new_process: NewProcess, r2, rented
):
    deployment_id, state = rented
    blind = {**state, "accessKeyId": "", "secretAccessKey": ""}
    with pytest.raises(CallFailedError, match="CLOUDFLARE_API_TOKEN is not set"):
        new_process(CLOUDFLARE_API_TOKEN="").diff(
            deployment_id, blind, {**blind, "gpuType": "H100"}
        )
    changes, _ = new_process().diff(deployment_id, blind, {**blind, "gpuType": "H100"})
    assert changes
