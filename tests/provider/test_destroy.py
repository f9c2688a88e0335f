"""The provider's delete, as `pulumi destroy` and a replacement call it: the run is asked first.

The io.net account and the bucket are stand-ins; a thread of the test plays the container.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from components.ledger.page import Page
from container.contract.stop_order import StopOrder
from tests.contract.caas_place import CaasPlace, eventually
from tests.provider.builders import NAME, PREFIX, deployment
from tests.provider.conftest import NewProcess
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import CallFailedError, Engine, Props, ProviderProcess
from tests.provider.run_in_bucket import WAITS, RunInBucket

ORDER = f"/{BUCKET}/{PREFIX}/stop.json"


@pytest.fixture
def run(r2: FakeR2) -> RunInBucket:
    return RunInBucket(r2=r2, prefix=PREFIX)


@pytest.fixture
def rented(process: ProviderProcess, caas: CaasPlace, r2: FakeR2) -> tuple[str, Props]:
    """The id and the state of a machine that runs."""
    inputs, failures = process.check(deployment(r2.url))
    assert not failures
    id_, state = process.create(inputs)
    caas.until(id_, "running")
    return id_, state


def status_of(caas: CaasPlace, rented: tuple[str, Props]) -> str:
    status: str = caas.details(rented[0])["status"]
    return status


def rows_of(said: str) -> dict[str, str]:
    """The rows of the receipt by their names, each on one line again."""
    block = re.sub(r"\n {12}", " ", said)
    return dict(re.findall(r"^  (machine|kept|lost|hours|charged|refunded) +(.*)$", block, re.M))


def test_a_run_saves_and_writes_its_verdict_before_its_machine_is_given_back(
    process: ProviderProcess, caas: CaasPlace, run: RunInBucket, rented: tuple[str, Props]
) -> None:
    """SIGTERM loses what was trained since the last save: the trainers know no other.

    https://github.com/karpathy/nanochat/pull/432
    """
    run.trains(**WAITS, checkpoint_files=3, checkpoint_files_up=2)

    def answers(order: StopOrder) -> None:
        assert (order.holder, order.within_s) == ("one", 900.0)
        eventually(lambda: "2 of 3 files up" in process.said())
        assert status_of(caas, rented) == "running"
        run.saves_and_ends(steps=42)

    with run.container(answers=answers) as seen:
        process.delete(*rented)
    assert len(seen) == 1
    assert status_of(caas, rented) == "destroyed"
    said = process.said()
    assert "main: next save at step 40 in 3 min 10 s; 2 of 3 files up" in said
    assert "main: machine given back.\nmain: stopped (asked)\n" in said
    rows = rows_of(said)
    assert rows["machine"] == f"{rented[0]} is given back"
    assert "all 2 that the manifest and the checkpoints list are whole" in rows["kept"]
    assert f"s3://{BUCKET}/{PREFIX}" in rows["kept"]
    assert rows["lost"] == "2 steps of stage base, since its checkpoint of step 40"
    assert "1.0 h unused" in rows["hours"]
    assert rows["charged"] == "$0.41, by io.net's record"
    assert rows["refunded"] == "$0.00 (its record says $0.41 before, $0.41 after)"
    assert "--yes" not in said


def test_a_save_that_is_not_due_within_the_bound_is_not_waited_for(
    new_process: NewProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
) -> None:
    run.trains()
    process = new_process(TRAINSTACK_STOP_WITHIN="90s")
    with run.container(answers=lambda _: r2.put_verdict(PREFIX, "stopped")) as seen:
        process.delete(*rented)
    assert seen[0].within_s == 90.0, "by which its container decides"
    assert status_of(caas, rented) == "destroyed"
    assert rows_of(process.said())["lost"] == "24 steps of stage base, as it has no checkpoint"


def has_ended(run: RunInBucket) -> None:
    run.trains()
    run.saves_and_ends()


def has_a_container_of_an_older_release(run: RunInBucket) -> None:
    """As commit 6636e89 rented them, and as they run today."""
    run.trains()
    run.is_of_an_older_release()


@pytest.mark.parametrize(
    ("stands", "told"),
    [
        (has_ended, "main: stopped (asked)"),
        (lambda _: None, "no container trains it: there is nothing to wait for"),
        (lambda run: run.trains(beat_age_s=120.0), "its container gave no sign of life for 2 min"),
        (has_a_container_of_an_older_release, "its container is of an older release"),
    ],
    ids=["ended", "not begun", "container away", "an older container"],
)
def test_a_run_that_cannot_answer_is_not_waited_for(
    process: ProviderProcess,
    caas: CaasPlace,
    run: RunInBucket,
    rented: tuple[str, Props],
    stands: Callable[[RunInBucket], None],
    told: str,
) -> None:
    stands(run)
    process.delete(*rented)
    assert status_of(caas, rented) == "destroyed"
    assert told in process.said()
    assert "at most" not in process.said(), "that it waits"
    assert "lost" in rows_of(process.said())


@pytest.mark.parametrize(
    ("refuses", "beat_age_s"),
    [("SlowDown", 0.0), ("AccessDenied", 120.0)],
    ids=["bucket away", "both away"],
)
def test_with_the_bucket_away_the_machine_is_given_back_when_the_bound_is_over(
    new_process: NewProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
    refuses: str,
    beat_age_s: float,
) -> None:
    run.trains(beat_age_s=beat_age_s)
    process = new_process(TRAINSTACK_STOP_WITHIN="2s")
    r2.refuse = refuses
    process.delete(*rented)
    assert status_of(caas, rented) == "destroyed"
    said = process.said()
    assert "the bucket does not answer" in said
    assert "Its machine is given back all the same" in said
    rows = rows_of(said)
    assert rows["kept"].startswith("not known: cannot read")
    assert rows["lost"] == "not known"
    assert rows["charged"].startswith("$0.41")


def test_a_bucket_that_is_away_while_the_run_saves_is_asked_again(
    process: ProviderProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
) -> None:
    run.trains(**WAITS)

    def answers(_: StopOrder) -> None:
        eventually(lambda: "next save at step 40" in process.said())
        r2.refuse = "SlowDown"
        run.saves_and_ends()
        eventually(lambda: r2.calls[-1].endswith("verdict.json"))
        r2.refuse = ""

    with run.container(answers=answers):
        process.delete(*rented)
    assert rows_of(process.said())["lost"] == "nothing: stage base is saved up to step 40"
    assert status_of(caas, rented) == "destroyed"


def test_who_says_so_does_not_wait(
    new_process: NewProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
) -> None:
    run.trains()
    process = new_process(TRAINSTACK_STOP_WITHIN="0")
    process.delete(*rented)
    assert ORDER not in r2.objects
    assert status_of(caas, rented) == "destroyed"
    assert "main: is not asked to stop, as TRAINSTACK_STOP_WITHIN says" in process.said()


@pytest.mark.parametrize("said", ["soon", "-3m", "1d"])
def test_a_bound_that_is_no_time_is_refused_before_anything_is_done(
    new_process: NewProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
    said: str,
) -> None:
    run.trains()
    with pytest.raises(CallFailedError, match="such as 15m; 0 asks the run nothing"):
        new_process(TRAINSTACK_STOP_WITHIN=said).delete(*rented)
    assert ORDER not in r2.objects
    assert status_of(caas, rented) == "running"
    process = new_process(TRAINSTACK_STOP_WITHIN="")
    with run.container(answers=lambda _: run.saves_and_ends()):
        process.delete(*rented)
    assert status_of(caas, rented) == "destroyed"


def test_an_engine_that_is_killed_meanwhile_leaves_the_run_training_and_destroy_asks_again(
    new_process: NewProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
) -> None:
    """The order would stop the run for a machine that goes on billing."""
    run.trains()
    engine = Engine()
    process = new_process(engine)
    refused: list[str] = []

    def delete() -> None:
        try:
            process.delete(*rented)
        except CallFailedError as error:
            refused.append(str(error))

    calls = threading.Thread(target=delete)
    calls.start()
    eventually(lambda: ORDER in r2.objects)
    engine.kill()
    calls.join(30)
    assert "engine has ended" in refused[0]
    assert ORDER not in r2.objects
    assert status_of(caas, rented) == "running"
    again = new_process()
    with run.container(answers=lambda _: run.saves_and_ends()) as seen:
        again.delete(*rented)
    assert len(seen) == 1
    assert status_of(caas, rented) == "destroyed"


@pytest.mark.parametrize("how", ["it has stopped", "its time is over", "it still has some"])
def test_a_stop_that_was_given_is_not_waited_for_anew(
    process: ProviderProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
    how: str,
) -> None:
    """A provider that was killed leaves its order behind, and perhaps a verdict."""
    run.trains()
    order = StopOrder(holder="one", within_s=900.0, asked_at="2026-11-28T12:00:00Z").to_json()
    run.put("stop.json", order, age_s=898.0 if how == "it still has some" else 1300.0)
    if how == "it has stopped":
        run.saves_and_ends()
    process.delete(*rented)
    assert r2.objects[ORDER] == order
    assert status_of(caas, rented) == "destroyed"
    assert ("; 2 s at most" in process.said()) is (how == "it still has some")


def test_the_order_is_written_with_the_operators_key_else_with_the_runs(
    process: ProviderProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
) -> None:
    run.trains()
    r2.refuses_words = "planted-access-key"  # the run's, in the signature
    with run.container(answers=lambda _: run.saves_and_ends()) as seen:
        process.delete(*rented)
    assert len(seen) == 1


def test_a_run_is_asked_without_the_operators_key(
    new_process: NewProcess,
    caas: CaasPlace,
    run: RunInBucket,
    rented: tuple[str, Props],
) -> None:
    run.trains()
    with run.container(answers=lambda _: run.saves_and_ends()) as seen:
        new_process(CLOUDFLARE_API_TOKEN="").delete(*rented)
    assert len(seen) == 1
    assert status_of(caas, rented) == "destroyed"


@pytest.mark.parametrize("account", ["does not show it", "refuses the key", "shows it as ended"])
def test_a_run_whose_machine_cannot_be_given_back_is_not_asked(
    process: ProviderProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
    account: str,
) -> None:
    """It would stop, on a machine that goes on billing."""
    run.trains()
    deployment_id, state = rented
    if account == "does not show it":
        with pytest.raises(CallFailedError, match="is unknown to"):
            process.delete("11111111-2222-4333-8444-555555555555", {**state, "privateName": "x"})
    elif account == "refuses the key":
        caas.behave(bad_key="403", every_key_is_bad=True)
        with pytest.raises(CallFailedError, match="refused the API key"):
            process.delete(deployment_id, state)
        caas.behave(every_key_is_bad=False)
    else:
        caas.call("DELETE", f"deployment/{deployment_id}")
        caas.until(deployment_id, "destroyed")
        process.delete(deployment_id, state)
    assert ORDER not in r2.objects


def test_a_machine_that_is_forgotten_is_not_said_to_be_given_back(
    new_process: NewProcess, rented: tuple[str, Props]
) -> None:
    gone = "11111111-2222-4333-8444-555555555555"
    process = new_process(TRAINSTACK_FORGET_DEPLOYMENT=gone)
    process.delete(gone, {**rented[1], "privateName": "x"})
    rows = rows_of(process.said())
    assert rows["machine"] == f"{gone} is forgotten, as TRAINSTACK_FORGET_DEPLOYMENT says"
    assert rows["charged"] == "not known: io.net shows no record of it"


def test_a_refund_is_what_the_vendors_record_shows_before_and_after(
    process: ProviderProcess, caas: CaasPlace, run: RunInBucket, r2: FakeR2
) -> None:
    caas.behave(early_destroy="first_hour_kept")
    inputs, failures = process.check(deployment(r2.url, durationHours=3.0))
    assert not failures
    id_, state = process.create(inputs)
    caas.until(id_, "running")
    has_ended(run)
    process.delete(id_, state)
    rows = rows_of(process.said())
    assert rows["charged"] == "$1.23, by io.net's record"
    assert re.match(r"\$0\.\d\d \(its record says \$1\.23 before, \$", rows["refunded"])
    assert not rows["refunded"].startswith("$0.00")


def test_a_replacement_stops_the_old_container_and_the_new_one_goes_on_from_its_save(
    process: ProviderProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
) -> None:
    run.trains()
    inputs, failures = process.check(deployment(r2.url, locations=["FI"]))
    assert not failures
    changes, replaces = process.diff(*rented, inputs)  # which asserts that it deletes first
    assert (changes, replaces) == (True, ["locations"])
    with run.container(answers=lambda _: run.saves_and_ends()):
        process.delete(*rented)
    name = NAME[:-1] + "2"
    second, _ = process.create({**inputs, "privateName": name})
    assert status_of(caas, rented) == "destroyed"
    assert caas.until(second, "running")
    assert run.path("verdict.json") not in r2.objects, "which the new container would serve"
    assert run.path("verdicts/1-stopped.json") in r2.objects
    assert run.path("checkpoints/base/d2/complete_000040.json") in r2.objects
    left = StopOrder.from_json(r2.objects[ORDER])
    assert left.holder == "one", "the old container, so that it stops no other"


def test_a_machine_of_the_run_that_this_state_does_not_know_is_told_with_the_command_that_ends_it(
    process: ProviderProcess,
    caas: CaasPlace,
    r2: FakeR2,
    run: RunInBucket,
    rented: tuple[str, Props],
) -> None:
    """The state was rolled back over a rerun: after its destroy nobody looked any more."""
    has_ended(run)
    key = f"/{BUCKET}/ledger/trainstack/dev/main.json"
    page = Page.from_json(r2.objects[key])
    name = "trainstack-dev-main-99999999-cafe0001"
    other = caas.deploy(name)
    entry = replace(
        page.entries[0], intent="another", identity="99999999", name=name, deployment_id=other
    )
    r2.objects[key] = page.put(entry).to_json()
    process.delete(*rented)
    assert f"has another machine, {other} ({name}), which this state does not know" in (
        process.said()
    )
    assert f"it lives and bills. Give it back: python -m runs reap {other} --stack dev --yes" in (
        process.said()
    )
    assert caas.details(other)["status"] != "destroyed"
