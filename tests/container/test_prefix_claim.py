"""A container that was told no prefix has one, its own: anew, started again, made anew."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from container.contract.clock import Clock
from container.contract.environment import RunEnvironment
from container.contract.keys import CLAIM_KEY, LEASE_KEY, VERDICT_KEY
from container.contract.recipe import Recipe, load_recipe
from container.contract.records import Claim, Lease
from container.storage.bucket import RunBucket
from container.supervisor.claim import PrefixClaim, stem_of
from tests.container.conftest import Launch, Running, wait_for
from tests.container.recipes import fake_recipe, trainer_stage
from tests.runs_builders import verdict

SHAPE = re.compile(r"bare[0-9a-f]{8}-d2-\d{8}-\d{6}")
ENVIRONMENT = RunEnvironment(run="main", settings={}, endpoint="", bucket="")


@pytest.fixture
def recipe() -> Recipe:
    """A recipe whose prefixes no other test's containers look for."""
    return fake_recipe(trainer_stage(), name=f"bare{secrets.token_hex(4)}")


def prefix_of(run: Running) -> str:
    return wait_for(lambda: run.supervisor.bucket.prefix, what=lambda: run.log)


@dataclass
class Container:
    """A container's search, by itself."""

    bucket: RunBucket
    recipe: Recipe
    holder: str = "one"
    world_size: int = 1
    silent_s: float = 0.4

    def settle(self) -> str:
        self.said: list[str] = []
        gpus = {"gpu_type": "H100", "gpus_per_container": self.world_size}
        environment = replace(ENVIRONMENT, **(gpus if self.world_size > 1 else {}))
        return PrefixClaim(
            bucket=self.bucket,
            recipe=self.recipe,
            environment=environment,
            holder=self.holder,
            clock=Clock(),
            stop=threading.Event(),
            silent_s=self.silent_s,
            look_s=0.05,
            say=self.said.append,
        ).settle()


def at(bucket: RunBucket, prefix: str) -> RunBucket:
    return RunBucket(bucket.client, name=bucket.name, prefix=prefix)


def beat(bucket: RunBucket, prefix: str, *, holder: str = "one", ago: timedelta | None = None):
    when = datetime.now(UTC) - (ago or timedelta())
    lease = Lease(holder=holder, attempt=1, beat_at=when.isoformat())
    at(bucket, prefix).put(LEASE_KEY, lease.to_json())


@contextmanager
def beating(bucket: RunBucket, prefix: str):
    """The holder lives: its lease changes all the time."""
    ended = threading.Event()

    def beats() -> None:
        number = 0
        while not ended.wait(0.05):
            number += 1
            beat(bucket, prefix, ago=timedelta(milliseconds=number))

    thread = threading.Thread(target=beats)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_container_without_a_prefix_trains_under_one_of_the_guides_shape(
    launch: Launch, recipe: Recipe
) -> None:
    run = launch(recipe, RUN_PREFIX="")
    assert SHAPE.fullmatch(prefix_of(run))
    assert run.verdict().outcome == "succeeded"
    assert f"this run's prefix is {run.supervisor.bucket.prefix}" in run.log


def test_bare_containers_that_start_at_one_time_share_no_prefix(
    bucket: RunBucket, recipe: Recipe
) -> None:
    """One that comes a little later sees the claim of another that does not beat yet."""
    ready, claimed = threading.Barrier(4), threading.Barrier(4)

    def start(holder: str) -> str:
        container = Container(bucket, recipe, holder=holder, silent_s=5)
        ready.wait()
        prefix = container.settle()
        with beating(bucket, prefix):
            claimed.wait(60)
        return prefix

    with ThreadPoolExecutor(4) as pool:
        prefixes = list(pool.map(start, "abcd"))
    assert len(set(prefixes)) == 4, prefixes


def test_a_container_that_is_started_again_goes_on_under_its_prefix_at_once(
    launch: Launch, bucket: RunBucket, recipe: Recipe
) -> None:
    slow = replace(recipe, stages=(trainer_stage(flags=("--hang-at=3",)),))
    first = launch(slow, RUN_PREFIX="")
    prefix = prefix_of(first)
    marker = "checkpoints/base/d2/complete_000002.json"
    wait_for(lambda: at(bucket, prefix).get(marker), what=lambda: first.log)
    first.end()
    again = launch(recipe, RUN_PREFIX="")
    assert prefix_of(again) == prefix
    wait_for(lambda: again.supervisor.live_status.outcome == "succeeded", what=lambda: again.log)
    assert "goes on from step 2" in again.log
    serving = launch(recipe, RUN_PREFIX="")
    assert prefix_of(serving) == prefix, "and when it has finished it serves what it trained"


def finished(bucket: RunBucket, prefix: str) -> None:
    at(bucket, prefix).put(VERDICT_KEY, verdict().to_json())


def stopped(bucket: RunBucket, prefix: str) -> None:
    at(bucket, prefix).put(VERDICT_KEY, verdict(outcome="stopped").to_json())
    beat(bucket, prefix, holder="")


def nothing(bucket: RunBucket, prefix: str) -> None:
    """It died between its claim and its lease."""


def silent(bucket: RunBucket, prefix: str) -> None:
    beat(bucket, prefix)


def long_ago(bucket: RunBucket, prefix: str) -> None:
    beat(bucket, prefix, ago=timedelta(hours=25))


@pytest.mark.parametrize(
    ("left", "other", "goes_on"),
    [
        (finished, {}, True),
        (silent, {}, True),
        (nothing, {}, True),
        (long_ago, {}, True),
        (silent, {"world_size": 8}, False),
        (silent, {"holder": "two"}, True),
        (stopped, {"holder": "two"}, True),
        (nothing, {"holder": "two"}, True),
        (finished, {"holder": "two"}, False),
        (long_ago, {"holder": "two"}, False),
        (silent, {"holder": "two", "world_size": 8}, False),
    ],
)
def test_what_the_next_container_goes_on_with(
    bucket: RunBucket,
    recipe: Recipe,
    left: Callable[[RunBucket, str], None],
    other: dict[str, object],
    goes_on: bool,
) -> None:
    first = Container(bucket, recipe)
    prefix = first.settle()
    left(bucket, prefix)
    second = replace(first, **other)
    assert (second.settle() == prefix) is goes_on, second.said
    if "holder" in other and goes_on:
        with beating(bucket, prefix):
            assert first.settle() != prefix, "which was taken from the first, should it come back"


def test_a_container_of_another_host_with_a_copied_disk_is_another_one(
    bucket: RunBucket, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = Container(bucket, recipe).settle()
    with beating(bucket, prefix):
        monkeypatch.setattr("socket.gethostname", lambda: "another")
        assert Container(bucket, recipe).settle() != prefix


def test_a_prefix_under_which_somebody_trains_is_left_alone(
    bucket: RunBucket, recipe: Recipe
) -> None:
    prefix = Container(bucket, recipe).settle()
    with beating(bucket, prefix):
        assert Container(bucket, recipe, holder="two").settle() != prefix


def test_a_prefix_that_somebody_has_just_gone_on_with_is_not_taken_once_more(
    bucket: RunBucket, recipe: Recipe
) -> None:
    """Its lease still reads as the dead one gave it up."""
    prefix = Container(bucket, recipe).settle()
    stopped(bucket, prefix)
    assert Container(bucket, recipe, holder="two").settle() == prefix
    third = Container(bucket, recipe, holder="three", silent_s=3)
    with ThreadPoolExecutor(1) as pool:
        settled = pool.submit(third.settle)
        wait_for(lambda: getattr(third, "said", None))
        with beating(bucket, prefix):
            assert settled.result() != prefix


def test_of_two_containers_that_find_one_dead_run_only_one_goes_on_with_it(
    bucket: RunBucket, recipe: Recipe
) -> None:
    prefix = Container(bucket, recipe).settle()
    beat(bucket, prefix)
    containers = [Container(bucket, recipe, holder=str(number)) for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        prefixes = list(pool.map(Container.settle, containers))
    assert len(set(prefixes)) == 3
    assert prefix in prefixes


def test_of_two_dead_runs_the_older_goes_on_first(bucket: RunBucket, recipe: Recipe) -> None:
    older = Container(bucket, recipe).settle()
    with beating(bucket, older):
        newer = Container(bucket, recipe, holder="two").settle()
    later = [Container(bucket, recipe, holder=name) for name in ("three", "four")]
    assert later[0].settle() == older
    with beating(bucket, older):
        assert later[1].settle() == newer


def test_another_training_is_never_gone_on_with(bucket: RunBucket, recipe: Recipe) -> None:
    prefix = Container(bucket, recipe).settle()
    stopped(bucket, prefix)
    setting = replace(recipe.settings["steps"], default=7)
    longer = replace(recipe, settings={"steps": setting})
    assert Container(bucket, longer, holder="two").settle() != prefix


def test_a_claim_that_cannot_be_read_is_nobodys(bucket: RunBucket, recipe: Recipe) -> None:
    prefix = f"{stem_of(recipe)}-20200101-000000"
    at(bucket, prefix).put(CLAIM_KEY, b"{")
    assert Container(bucket, recipe).settle() != prefix


def test_a_write_whose_answer_was_lost_is_the_containers_own(
    bucket: RunBucket, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = RunBucket.put

    def twice(self: RunBucket, key: str, body: bytes, **options: object) -> str:
        put(self, key, body, **options)  # pyright: ignore[reportArgumentType]
        return put(self, key, body, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(RunBucket, "put", twice)
    prefix = Container(bucket, recipe).settle()
    claim = Claim.from_json(at(bucket, prefix).get(CLAIM_KEY) or b"")
    assert (claim.holder, claim.recipe) == ("one", recipe.name)


def test_a_run_that_was_left_long_ago_goes_on_under_the_variable_that_is_told(
    launch: Launch, bucket: RunBucket, recipe: Recipe
) -> None:
    prefix = Container(bucket, recipe).settle()
    long_ago(bucket, prefix)
    anew = launch(recipe, RUN_PREFIX="", holder="two", work="two")
    assert prefix_of(anew) != prefix
    (variable,) = re.findall(r"RUN_PREFIX=(\S+)", anew.log)
    assert variable == prefix
    going_on = launch(recipe, RUN_PREFIX=variable, holder="three", work="three")
    assert going_on.verdict().outcome == "succeeded", going_on.log


@pytest.mark.parametrize(
    ("name", "stem"), [("nanochat-d20", "nanochat-d20"), ("rehearsal", "rehearsal-d4")]
)
def test_a_bare_runs_prefix_begins_with_what_is_trained(name: str, stem: str) -> None:
    assert stem_of(load_recipe(name)) == stem
