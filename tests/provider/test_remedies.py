"""What the provider's own messages say is taken out of them and done, against stand-ins.

Every command is a provider process of its own, as the engine starts it; `runs` is one too.
"""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from components.ionet import run_tokens
from components.ionet.provider import DeploymentReadyProvider
from components.ionet.rental.close import close
from components.ledger.ledger import LedgerError
from components.ledger.page import Entry, Page
from container.contract.keys import LogSegment
from tests.contract.caas_place import CaasPlace
from tests.contract.in_memory_runtime import InMemoryRuntime
from tests.provider.builders import IDENTITY, NAME, PREFIX, deployment
from tests.provider.conftest import BeatingRuntime, NewProcess
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import CallFailedError, Engine, Props, ProviderProcess
from tests.provider.test_no_machine_is_lost import KEY, checked, end
from tests.provider.test_process import names, ready_inputs
from tests.provider.test_reap import OWNER, TOKEN, World
from tests.runs_builders import status

A_KEY = "io-v2-test-key"
OTHER_ID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def rented(new_process: NewProcess, r2: FakeR2) -> tuple[str, Props]:
    process = new_process()
    return process.create(checked(process, r2))


@pytest.fixture
def world(caas: CaasPlace, r2: FakeR2, tmp_path_factory: pytest.TempPathFactory) -> World:
    found = World(caas, r2, tmp_path_factory.mktemp("shell"))
    found.stack()
    return found


def refused(process: ProviderProcess, method: str, *args: Any) -> str:
    with pytest.raises(CallFailedError) as failed:
        getattr(process, method)(*args)
    return str(failed.value)


def typed(world: World, text: str, *, expect: int = 0) -> str:
    """Type the `python -m runs` command that a text holds; return all that it prints."""
    found = re.search(r"python -m (runs [^`;.]*)", text)
    assert found, text
    words = shlex.split(found[1])[1:]
    done = world.runs(*words, expect=expect)
    return done.stdout + done.stderr


def test_a_refused_key_is_mended_by_the_variable_whatever_the_stacks_config_has(
    new_process: NewProcess, caas: CaasPlace, rented: tuple[str, Props]
) -> None:
    """`pulumi config set` was told too, and the refused key in the environment counted on."""
    told = refused(new_process(IOCLOUD_API_KEY="wrong"), "delete", *rented)
    assert "set IOCLOUD_API_KEY to it" in told
    process = new_process(IOCLOUD_API_KEY=A_KEY)
    process.configure({"trainstack:ionetApiKey": "wrong"})
    process.delete(*rented)
    assert names(caas) == []


def test_a_missing_key_is_set_in_the_environment(
    new_process: NewProcess, caas: CaasPlace, rented: tuple[str, Props]
) -> None:
    told = refused(new_process(IOCLOUD_API_KEY=""), "delete", *rented)
    assert "set IOCLOUD_API_KEY" in told
    new_process(IOCLOUD_API_KEY=A_KEY).delete(*rented)
    assert names(caas) == []


@pytest.mark.parametrize("mended", ["", A_KEY])
def test_two_names_of_one_key_that_differ_are_refused_until_one_is_unset(
    new_process: NewProcess, caas: CaasPlace, rented: tuple[str, Props], mended: str
) -> None:
    """The key that was told to be set, beside the older name that still holds the refused one."""
    told = refused(new_process(IOCLOUD_API_KEY="", IONET_API_KEY="wrong"), "delete", *rented)
    assert "set IOCLOUD_API_KEY to it" in told
    told = refused(new_process(IOCLOUD_API_KEY=A_KEY, IONET_API_KEY="wrong"), "delete", *rented)
    assert "unset IONET_API_KEY, or give it the same value" in told
    assert A_KEY not in told
    new_process(IOCLOUD_API_KEY=A_KEY, IONET_API_KEY=mended).delete(*rented)
    assert names(caas) == []


def test_the_keys_older_name_alone_still_opens_the_account(
    new_process: NewProcess, caas: CaasPlace, rented: tuple[str, Props]
) -> None:
    new_process(IOCLOUD_API_KEY="", IONET_API_KEY=A_KEY).delete(*rented)
    assert names(caas) == []


@pytest.mark.parametrize(
    ("had", "has"),
    [('"country": "US"', '"country": "JP"'), ('"hardwareId": 12', '"hardwareId": 99')],
)
def test_an_offer_that_is_gone_is_chosen_anew_by_the_next_update(
    new_process: NewProcess, caas: CaasPlace, r2: FakeR2, had: str, has: str
) -> None:
    """Of hardware that had left the catalogue it was told that the catalogue has nothing at all."""
    process = new_process()
    wanted = checked(process, r2)
    gone = {**wanted, "offer": wanted["offer"].replace(had, has)}
    assert "Run `pulumi up` again to choose anew" in refused(process, "create", gone)
    assert names(caas) == []
    again = new_process()
    again.create(checked(again, r2))
    assert names(caas) == [NAME]


def test_an_update_after_an_engine_that_was_killed_rents_once(
    new_process: NewProcess, caas: CaasPlace, r2: FakeR2, engine: Engine
) -> None:
    process = new_process()
    wanted = checked(process, r2)
    engine.kill()
    assert "run the same command again" in refused(process, "create", wanted)
    assert names(caas) == []
    next_one = Engine()
    try:
        new_process(next_one).create(wanted)
    finally:
        next_one.kill()
    assert names(caas) == [NAME]


def without_heartbeat(new_process: NewProcess, r2: FakeR2, deployment_id: str) -> str:
    process = new_process()
    process.provider = DeploymentReadyProvider()
    return refused(process, "create", ready_inputs(deployment_id, r2, timeoutMinutes=0.02))


def test_a_machine_without_heartbeat_is_waited_for_again_looked_into_or_given_back(
    new_process: NewProcess,
    caas: CaasPlace,
    r2: FakeR2,
    rented: tuple[str, Props],
    runtime: BeatingRuntime,
    world: World,
) -> None:
    page, runtime.status = runtime.status, None
    told = without_heartbeat(new_process, r2, rented[0])
    for way in ("`pulumi up` waits again", "`pulumi destroy` gives it back"):
        assert way in told
    segment = LogSegment(attempt=1, stage="verify").key
    r2.objects[f"/{BUCKET}/{PREFIX}/status.json"] = status().to_json()
    r2.objects[f"/{BUCKET}/{PREFIX}/{segment}"] = b"no GPU was found\n"
    assert "no GPU was found" in typed(world, told)
    runtime.status = page
    again = new_process()
    again.provider = DeploymentReadyProvider()
    assert again.create(ready_inputs(rented[0], r2))[1]["statusUrl"]
    new_process().delete(*rented)
    assert names(caas) == []


def test_a_machine_that_answers_and_does_not_train_is_given_back_by_destroy(
    new_process: NewProcess,
    caas: CaasPlace,
    r2: FakeR2,
    rented: tuple[str, Props],
    runtime: BeatingRuntime,
) -> None:
    runtime.status = {"run": "main", "no_verdict": "its clock is 62 min ahead"}
    told = without_heartbeat(new_process, r2, rented[0])
    assert "`pulumi destroy` gives it back" in told
    new_process().delete(*rented)
    assert names(caas) == []


def test_a_machine_that_ended_before_its_first_heartbeat_is_rented_again_by_a_plain_update(
    new_process: NewProcess, caas: CaasPlace, r2: FakeR2, rented: tuple[str, Props], world: World
) -> None:
    end(caas, rented[0])
    told = without_heartbeat(new_process, r2, rented[0])
    assert "`pulumi up` rents it again, or says why not" in told
    assert "which has written nothing" in typed(world, told, expect=2)
    update = new_process()
    assert update.diff(*rented, checked(update, r2)) == (True, ["deployment"])
    wanted = checked(update, r2)
    update.delete(*rented)
    update.create(wanted)
    assert len(names(caas)) == 1


def test_a_machine_whose_hours_ended_before_its_first_heartbeat_is_not_and_it_is_said_why(
    new_process: NewProcess, caas: CaasPlace, r2: FakeR2, rented: tuple[str, Props]
) -> None:
    caas.until(rented[0], "running")
    caas.time.advance(hours=1.1)
    caas.until(rented[0], "completed")
    assert "or says why not" in without_heartbeat(new_process, r2, rented[0])
    update = new_process()
    assert update.diff(*rented, checked(update, r2)) == (False, [])
    assert "pulumi config set trainstack:renew 1" in update.said()
    assert update.diff(*rented, checked(update, r2, renew=1.0)) == (True, ["renew"])


def test_hours_of_a_rental_that_the_state_does_not_tell_are_set_back_or_bought_by_hand(
    new_process: NewProcess, caas: CaasPlace, r2: FakeR2, rented: tuple[str, Props]
) -> None:
    deployment_id, state = rented
    caas.until(deployment_id, "running")
    state = {key: value for key, value in state.items() if key != "offer"}
    process = new_process()
    back = checked(process, r2)
    told = refused(process, "diff", deployment_id, state, {**back, "durationHours": 2.0})
    assert "Set trainstack:durationHours back, or extend it in io.net's console." in told
    assert process.diff(deployment_id, state, back) == (False, [])
    answer = caas.call("POST", f"deployment/{deployment_id}/extend", json={"duration_hours": 1})
    assert answer.ok
    caas.time.advance(hours=1.5)
    later = new_process()
    assert later.diff(deployment_id, state, back) == (False, [])
    assert names(caas) == [NAME]


def test_credentials_that_end_too_early_last_for_fewer_hours_or_are_renewed(
    new_process: NewProcess, r2: FakeR2
) -> None:
    now = datetime.now(UTC)
    soon, late = ((now + timedelta(hours=hours)).isoformat() for hours in (4, 40))
    process = new_process()
    long = {"durationHours": 4.0, "maxCostUsd": 9.0}
    _, (told,) = process.check(deployment(r2.url, credentialsExpireOn=soon, **long))
    assert "Ask for fewer hours, or raise trainstack:renew" in told
    assert checked(process, r2, credentialsExpireOn=soon, durationHours=1.0)
    assert checked(process, r2, credentialsExpireOn=late, renew=1.0, **long)


def test_the_farewell_names_the_command_that_deletes_what_is_kept(
    new_process: NewProcess, r2: FakeR2, rented: tuple[str, Props], world: World
) -> None:
    r2.put_verdict(PREFIX, "stopped")
    r2.objects[f"/{BUCKET}/{PREFIX}/manifest.json"] = b"{}"
    process = new_process()
    process.delete(*rented)
    told = process.said().partition("Nothing deletes what is kept but you: ")[2]
    assert "--yes" not in told
    assert "Would delete" in typed(world, told)
    assert any(key.startswith(f"/{BUCKET}/{PREFIX}/") for key in r2.objects)
    typed(world, f"{told.strip()} --yes")
    assert not any(key.startswith(f"/{BUCKET}/{PREFIX}/") for key in r2.objects)


def test_a_run_that_has_ended_is_trained_anew_under_another_name(
    new_process: NewProcess, caas: CaasPlace, r2: FakeR2
) -> None:
    r2.put_verdict(PREFIX, "failed")
    process = new_process()
    told = refused(process, "create", checked(process, r2))
    assert "give the new training another name in trainstack:runs" in told
    second = {
        "run": "second",
        "identity": "55555555",
        "namePrefix": "trainstack-dev-second-55555555-",
        "privateName": "trainstack-dev-second-55555555-cafe0001",
        "r2Prefix": "dev-second-55555555-deadbeef",
    }
    process.create(checked(process, r2, **second))
    assert names(caas) == [second["privateName"]]


def test_a_machine_that_no_account_shows_is_forgotten_by_what_is_told(
    new_process: NewProcess, rented: tuple[str, Props]
) -> None:
    state = {**rented[1], "privateName": "trainstack-of-another-account"}
    told = refused(new_process(), "delete", OTHER_ID, state)
    found = re.search(r"(TRAINSTACK_\w+)=(\S+) pulumi destroy\Z", told)
    assert found, told
    new_process(**{found[1]: found[2]}).delete(OTHER_ID, state)


def test_a_machine_of_another_accounts_key_is_given_back_with_that_key(
    new_process: NewProcess, caas: CaasPlace, rented: tuple[str, Props], tmp_path_factory: Any
) -> None:
    elsewhere = CaasPlace(tmp_path_factory.mktemp("elsewhere"), InMemoryRuntime())
    try:
        told = refused(new_process(IONET_BASE_URL=elsewhere.url), "delete", *rented)
    finally:
        elsewhere.stop()
    assert "Set IOCLOUD_API_KEY to a key of the account that rented it" in told
    new_process().delete(*rented)
    assert names(caas) == []


def test_a_token_that_could_not_be_revoked_is_found_by_the_command_that_is_told(
    r2: FakeR2, world: World
) -> None:
    world.token(f"trainstack-dev-main-{IDENTITY}")
    said: list[str] = []
    run_tokens.revoke(None, OWNER, identity=IDENTITY, ended=(), say=said.append)
    assert TOKEN in typed(world, said[0])
    world.reap(TOKEN, "--stack", "dev", "--yes")
    assert r2.tokens == {}


class Away:
    """A bucket that never answers."""

    def edit(self, *_: object) -> object:
        raise LedgerError("the ledger could not be used for 60 s (503).")


def test_what_a_silent_bucket_hid_is_found_by_the_command_that_is_told(
    caas: CaasPlace, world: World
) -> None:
    said: list[str] = []
    client: Any = type("Nothing", (), {"deployments": list})
    away: Any = Away()
    close(
        client(),
        IDENTITY,
        name_prefix=f"{OWNER.stem}{IDENTITY}-",
        owner=OWNER,
        ledger=away,
        started=-10_000.0,
        say=said.append,
    )
    machine = world.machine(IDENTITY)
    assert machine in typed(world, said[-1])
    page = Page(owner=OWNER, entries=(an_entry(machine),))
    world.r2.objects[KEY] = page.to_json()
    assert machine in typed(world, said[-1])


def an_entry(machine: str) -> Entry:
    return Entry(
        intent="i",
        identity=IDENTITY,
        name=f"{OWNER.stem}{IDENTITY}-cafe0001",
        hours=1,
        usd=Decimal("0.41"),
        asked_at=datetime.now(UTC).replace(microsecond=0),
        state="rented",
        deployment_id=machine,
    )
