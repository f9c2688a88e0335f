"""A restart in place asks the run to stop first; whatever happens then, none is left stopped.

The io.net account and the bucket are stand-ins; a thread of the test plays the container.
"""

from __future__ import annotations

import threading

import pytest

from container.contract.stop_order import StopOrder
from tests.contract.caas_place import CaasPlace, eventually
from tests.provider.builders import PREFIX
from tests.provider.conftest import NewProcess
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import CallFailedError, Engine, Props, ProviderProcess
from tests.provider.run_in_bucket import WAITS, RunInBucket
from tests.provider.test_restart import first, mended, rented, runtime, sent, up

__all__ = ["rented", "runtime"]

ORDER = f"/{BUCKET}/{PREFIX}/stop.json"
VERDICT = f"/{BUCKET}/{PREFIX}/verdict.json"


@pytest.fixture
def run(r2: FakeR2) -> RunInBucket:
    return RunInBucket(r2=r2, prefix=PREFIX)


def renewed(state: Props) -> Props:
    """The inputs of the same training, whose run goes on in another container."""
    same = {key: state[key] for key in ("env", "r2Prefix")}
    token = {"accessKeyId": "new", "secretAccessKey": "planted-new"}
    return {**mended(state), **same, **token, "renew": 1.0}


@pytest.mark.parametrize(
    ("change", "bound_s"), [(renewed, 900.0), (mended, 60.0)], ids=["goes on", "another training"]
)
def test_the_run_saves_before_its_machine_starts_another_container(
    process, caas: CaasPlace, run: RunInBucket, rented, change, bound_s
):
    """What was trained since the last save would be lost: the trainers save at no other time.

    https://github.com/karpathy/nanochat/pull/432
    """
    run.trains(**WAITS)
    before = sent(caas, rented[0])

    def answers(order: StopOrder) -> None:
        assert order.within_s == bound_s
        assert sent(caas, rented[0]) == before
        run.saves_and_ends(steps=42)

    with run.container(answers=answers) as seen:
        up(process, rented, change(rented[1]))
    assert len(seen) == 1
    assert sent(caas, rented[0]) == before + 1
    assert "main: next save at step 40 in 3 min 10 s" in process.said()


def test_who_says_so_does_not_wait_for_a_save(new_process: NewProcess, caas, r2, run, rented):
    run.trains(**WAITS)
    process = new_process(TRAINSTACK_STOP_WITHIN="0")
    up(process, rented, renewed(rented[1]))
    assert "is not asked to stop, as TRAINSTACK_STOP_WITHIN says" in process.said()
    assert ORDER not in r2.objects


def test_a_run_whose_restart_is_refused_is_let_go_on(process, caas, r2, run, rented):
    """Stopped for a container that does not come, it would bill and do nothing."""
    caas.behave(update="refused")
    run.trains()
    news = renewed(rented[1])
    assert process.diff(*rented, news) == (True, [])
    with (
        run.container(answers=lambda _: run.saves_and_ends()),
        pytest.raises(CallFailedError, match="starts no other container"),
    ):
        process.update(*rented, news)
    assert VERDICT in r2.objects
    assert ORDER not in r2.objects


def test_an_engine_that_ends_while_a_save_is_waited_for_leaves_the_run_training(
    new_process: NewProcess, caas, r2, run, rented: tuple[str, Props]
):
    run.trains(**WAITS)
    engine, before = Engine(), sent(caas, rented[0])
    process, news = new_process(engine), renewed(rented[1])
    refused: list[str] = []

    def update() -> None:
        try:
            process.update(*rented, news)
        except CallFailedError as error:
            refused.append(str(error))

    assert process.diff(*rented, news) == (True, [])
    calls = threading.Thread(target=update)
    calls.start()
    eventually(lambda: ORDER in r2.objects)
    engine.kill()
    calls.join(30)
    assert "engine has ended" in refused[0]
    assert ORDER not in r2.objects
    assert sent(caas, rented[0]) == before
    with run.container(answers=lambda _: run.saves_and_ends()):
        up(new_process(), rented, news)
    assert sent(caas, rented[0]) == before + 1


def left_stopped(run: RunInBucket) -> None:
    """As a provider leaves a run that was killed between its save and the request."""
    run.trains()
    order = StopOrder(holder="one", within_s=900.0, asked_at="2026-11-28T12:00:00Z")
    run.put("stop.json", order.to_json())
    run.saves_and_ends()


def test_the_same_update_again_sends_what_was_not_sent(process, caas, r2, run, rented):
    left_stopped(run)
    before = sent(caas, rented[0])
    up(process, rented, renewed(rented[1]))
    assert sent(caas, rented[0]) == before + 1


def test_what_is_put_back_after_such_a_kill_goes_on_by_itself(
    process: ProviderProcess, caas, r2, run, rented
):
    left_stopped(run)
    before = sent(caas, rented[0])
    back = {**first(r2), "offer": rented[1]["offer"]}
    up(process, rented, back)
    assert "`pulumi up` lets it go on from its newest checkpoint" in process.said()
    assert ORDER not in r2.objects
    assert sent(caas, rented[0]) == before
    assert process.diff(rented[0], rented[1], back) == (False, [])


def test_an_order_that_cannot_be_taken_back_now_is_by_the_next_update(
    process, new_process: NewProcess, caas, r2, run, rented
):
    caas.behave(update="refused")
    run.trains()

    def answers(_: StopOrder) -> None:
        run.saves_and_ends()
        r2.refuses_words = "stop.json"

    with (
        run.container(answers=answers),
        pytest.raises(CallFailedError, match="starts no other container"),
    ):
        process.update(*rented, renewed(rented[1]))
    assert "the next `pulumi up` lets it go on" in process.said()
    assert ORDER in r2.objects
    r2.refuses_words = ""
    up(new_process(), rented, {**first(r2), "offer": rented[1]["offer"]})
    assert ORDER not in r2.objects
