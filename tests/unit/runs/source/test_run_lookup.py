"""Which runs are meant: names with dashes, what only the ledger knows, and what does not exist."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from components.ledger.page import Owner, Page
from container.contract.records import RunRecord
from runs.errors import NoSuchRunError, SettingMissingError
from runs.source.run_lookup import RunLookup
from runs.source.selector import Selector
from tests.runs_builders import status, verdict
from tests.unit.runs.in_memory_bucket import InMemoryBucket
from tests.unit.runs.rental_builders import rental

ENDING = "0a1b2c3d-deadbeef"
STACKS_AND_RUNS = [
    ("dev", "main"),
    ("prod", "main"),
    ("prod-eu", "main"),
    ("prod", "eu-main"),
    ("prod-eu-2", "wide-long"),
    ("0a1b2c3d", "cafe0001"),
]


def record(run: str) -> bytes:
    return RunRecord(run=run, recipe="rehearsal", settings={}).to_json()


def bucket_of_all() -> dict[str, bytes]:
    """A run of each; identities differ, as those of two runs always do."""
    return {
        f"{stack}-{run}-0000000{n}-deadbeef/run.json": record(run)
        for n, (stack, run) in enumerate(STACKS_AND_RUNS)
    }


def lookup(
    objects: Mapping[str, bytes], *, stack: str = "", said: bool = True, bucket: str = ""
) -> RunLookup:
    selector = Selector(stack=stack, bucket=bucket, stack_from_environment=not said)
    return RunLookup(selector, bucket=InMemoryBucket(objects).opened())


def page(
    owner: Owner, identity: str = "0a1b2c3d", state: str = "rented", id_: str = "d-1"
) -> dict[str, bytes]:
    entry = rental(id_, identity=identity, state=state).entry
    return {owner.key: Page(owner=owner, entries=(entry,)).to_json()}


@pytest.mark.parametrize(("number", "names"), list(enumerate(STACKS_AND_RUNS)))
def test_stack_and_run_may_hold_dashes_and_are_never_split_out_of_a_prefix(
    number: int, names: tuple[str, str]
) -> None:
    """As in https://github.com/hashicorp/terraform/issues/1699"""
    stack, run = names
    prefix = f"{stack}-{run}-0000000{number}-deadbeef"
    of_stack = lookup(bucket_of_all(), stack=stack)
    assert [t.prefix for t in of_stack.of_run(run, declared=[])] == [prefix]
    assert {t.prefix for t in of_stack.of_run("", declared=[])} == {
        f"{s}-{r}-0000000{n}-deadbeef" for n, (s, r) in enumerate(STACKS_AND_RUNS) if s == stack
    }
    assert of_stack.of_prefix(prefix, declared=[]).run == run
    assert of_stack.name_of(prefix) == run


@pytest.mark.parametrize("key", ["status.json", "verdict.json"])
def test_a_run_without_its_first_record_is_named_by_another(key: str) -> None:
    raw = {"status.json": status(run="main"), "verdict.json": verdict(run="main")}[key].to_json()
    found = lookup({f"prod-eu-main-{ENDING}/{key}": raw}, stack="prod-eu").of_run(
        "main", declared=[]
    )
    assert [t.prefix for t in found] == [f"prod-eu-main-{ENDING}"]


def test_a_damaged_record_does_not_keep_the_ledger_from_naming_a_run() -> None:
    owner = Owner(project="trainstack", stack="prod-eu", run="main")
    objects = {f"prod-eu-main-{ENDING}/run.json": b"{", **page(owner)}
    assert lookup(objects).name_of(f"prod-eu-main-{ENDING}") == "main"
    with pytest.raises(SettingMissingError, match="--stack prod and --prefix"):
        selector = Selector(stack="prod", prefix=f"prod-eu-main-{ENDING}")
        RunLookup(selector, bucket=InMemoryBucket(objects).opened()).of_prefix(
            selector.prefix, declared=[]
        )


def test_a_prefix_of_another_stack_is_refused_though_the_names_begin_alike() -> None:
    with pytest.raises(SettingMissingError, match="contradict"):
        lookup(bucket_of_all(), stack="prod").of_prefix(
            "prod-eu-main-00000002-deadbeef", declared=[]
        )
    of_shell = lookup(bucket_of_all(), stack="prod", said=False)
    assert of_shell.of_prefix("prod-eu-main-00000002-deadbeef", declared=[]).run == "main"


@pytest.mark.parametrize(
    "typo", ["dev-mian-00000000-deadbeef", "dev-main-00000000-deadbeee", "dev-main"]
)
def test_a_mistyped_prefix_is_no_run_and_the_nearest_is_named_first(typo: str) -> None:
    """As in https://github.com/skypilot-org/skypilot/issues/1342"""
    with pytest.raises(NoSuchRunError) as caught:
        lookup(bucket_of_all()).of_prefix(typo, declared=[])
    what, first, *_ = str(caught.value).splitlines()
    assert f"holds no run {typo!r}" in what
    assert first == "  --run dev-main-00000000-deadbeef  (main)"


def test_a_mistyped_run_is_no_run_and_the_nearest_is_named_first() -> None:
    with pytest.raises(NoSuchRunError) as caught:
        lookup(bucket_of_all()).of_run("eu-mian", declared=[])
    assert "(eu-main)" in str(caught.value).splitlines()[1]


def test_of_many_runs_only_the_nearest_are_named_and_their_number_is() -> None:
    objects = {f"dev-r{n}-{n:08x}-deadbeef/run.json": record(f"r{n}") for n in range(20)}
    with pytest.raises(NoSuchRunError, match="20, these are 8"):
        lookup(objects).of_run("r-17", declared=[])


def test_a_run_that_only_the_ledger_knows_is_not_there_yet() -> None:
    owner = Owner(project="trainstack", stack="prod-eu", run="main")
    ordered = lookup(page(owner))
    assert ordered.of_prefix(f"prod-eu-main-{ENDING}", declared=[]).run == "main"
    with pytest.raises(NoSuchRunError, match="yet: for run main of stack prod-eu"):
        ordered.of_run("main", declared=[])


@pytest.mark.parametrize("state", ["given back", "lost"])
def test_a_run_whose_machine_is_given_back_is_not_waited_for(state: str) -> None:
    owner = Owner(project="trainstack", stack="prod-eu", run="main")
    with pytest.raises(NoSuchRunError) as caught:
        lookup(page(owner, state=state)).of_prefix(f"prod-eu-main-{ENDING}", declared=[])
    assert "yet" not in str(caught.value)


def test_a_mistyped_hash_is_not_a_machine_that_has_not_written() -> None:
    owner = Owner(project="trainstack", stack="dev", run="main")
    objects = {f"dev-main-{ENDING}/run.json": record("main"), **page(owner)}
    with pytest.raises(NoSuchRunError, match=f"--run dev-main-{ENDING}"):
        lookup(objects).of_prefix("dev-main-0a1b2c3d-deadbeee", declared=[])


def test_folders_that_hold_no_record_are_no_runs_unless_they_are_named() -> None:
    objects = {"backups/x": b"", **bucket_of_all()}
    everything = lookup(objects).of_run("", declared=[])
    assert "backups" not in [target.prefix for target in everything]
    assert lookup(objects).of_run("backups", declared=[])[0].prefix == "backups"


@pytest.mark.parametrize("prefix", ["ledger", "ledger/trainstack/dev"])
def test_the_ledger_of_rentals_is_no_run(prefix: str) -> None:
    with pytest.raises(NoSuchRunError, match="ledger of rentals"):
        lookup({}).of_prefix(prefix, declared=[])


def test_a_target_keeps_what_the_stack_says_of_it() -> None:
    found = lookup(bucket_of_all()).of_run("wide-long", declared=[])
    assert [dataclasses.asdict(t)["status_url"] for t in found] == [""]
