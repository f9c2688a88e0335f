"""What `reap` and the doctor say to type next is typed, against stand-ins of all who are asked."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from tests.contract.caas_place import API_KEY, UNKNOWN_ID, CaasPlace
from tests.contract.in_memory_runtime import InMemoryRuntime
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.test_reap import ELSEWHERE, TOKEN, World, entry

HERE = ("--bucket", BUCKET)


@pytest.fixture
def world(caas: CaasPlace, r2: FakeR2, tmp_path: Path) -> World:
    return World(caas, r2, tmp_path)


def commands_in(text: str) -> list[list[str]]:
    return [shlex.split(found) for found in re.findall(r"python -m runs ([^`\n;]+)", text)]


def runs(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runs", *words],
        cwd=ROOT,
        env={**world.environ, "REGISTRY_SERVER": "127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_commands_that_a_list_ends_in_are_typed_with_its_ids(world: World) -> None:
    machine = world.machine()
    world.ledger(entry(machine), entry(ELSEWHERE, "11111111"))
    world.token("trainstack-dev-main-33333333")
    listed = world.reap(*HERE).stderr
    for purpose, one in (
        ("give a machine back", machine),
        ("forget a rental", ELSEWHERE),
        ("revoke a token", TOKEN),
    ):
        (line,) = [line for line in listed.splitlines() if f"To {purpose}:" in line]
        (command,) = commands_in(line)
        assert runs(world, *(one if word == "ID" else word for word in command)).returncode == 0
    assert world.caas.details(machine)["status"] == "destroyed"
    assert world.states() == ["given back", "given back"]
    assert TOKEN not in world.r2.tokens


def of_no_id(world: World) -> tuple[list[str], int]:
    return ["--yes"], 2


def of_an_unknown_id(world: World) -> tuple[list[str], int]:
    return [UNKNOWN_ID, "--yes"], 2


@pytest.mark.parametrize("wrong", [of_no_id, of_an_unknown_id])
def test_the_list_that_is_named_shows_what_can_be(
    world: World, wrong: Callable[[World], tuple[list[str], int]]
) -> None:
    machine = world.machine()
    words, code = wrong(world)
    refused = world.reap(*words, *HERE, expect=code)
    (command,) = commands_in(refused.stderr)
    assert machine in runs(world, *command).stdout


def test_what_the_stack_knows_is_given_back_or_forgotten_by_the_words_that_are_told(
    world: World,
) -> None:
    machine = world.machine()
    world.ledger(entry(machine), entry(ELSEWHERE, "11111111"))
    world.stack(machine, ELSEWHERE)
    for one in (machine, ELSEWHERE):
        words = [one, "--stack", "dev", "--yes"]
        while (done := runs(world, "reap", *words)).returncode:
            told = re.findall(r"say (--\w+)", done.stderr)
            assert told, done.stderr
            assert not set(told) & set(words), "the same is told again"
            words += told
        assert words[4:] == (["--force"] if one == machine else ["--force", "--forget"])
    assert world.states() == ["given back", "given back"]


def test_a_rental_of_another_account_is_seen_with_that_accounts_key(world: World) -> None:
    machine = world.machine()
    world.ledger(entry(machine))
    with EmptyAccount(world) as other:
        world.environ["IONET_BASE_URL"] = other
        refused = world.reap(machine, *HERE, "--yes", expect=1)
    (variable,) = re.findall(r"Set (\w+) to that account's key", refused.stderr)
    world.environ |= {variable: API_KEY, "IONET_BASE_URL": world.caas.url}
    world.reap(machine, *HERE, "--yes")
    assert world.caas.details(machine)["status"] == "destroyed"


class EmptyAccount:
    """An account that lists nothing, for the time of the block."""

    def __init__(self, world: World) -> None:
        self._folder = Path(world.environ["TRAINSTACK_LOCAL_CLOUD"]) / "another"

    def __enter__(self) -> str:
        self._folder.mkdir()
        self._place = CaasPlace(self._folder, InMemoryRuntime())
        return self._place.url

    def __exit__(self, *_: object) -> None:
        self._place.stop()


@pytest.mark.parametrize("by_stack", [True, False])
def test_a_key_of_io_net_that_is_missing_is_set_or_is_a_stacks(
    world: World, by_stack: bool
) -> None:
    machine = world.machine()
    world.environ["IOCLOUD_API_KEY"] = ""
    refused = world.reap(*HERE, expect=2)
    if by_stack:
        assert "name the stack (--stack)" in refused.stderr
        keeps_key(world, "trainstack:ionetApiKey", API_KEY)
        assert machine in world.reap("--stack", "dev", *HERE).stdout
    else:
        (variable,) = re.findall(r"(IOCLOUD_API_KEY) is not set", refused.stderr)
        world.environ[variable] = API_KEY
        assert machine in world.reap(*HERE).stdout


@pytest.mark.parametrize("by_stack", [True, False])
def test_a_token_of_cloudflare_that_is_missing_is_set_or_is_a_stacks(
    world: World, by_stack: bool
) -> None:
    world.environ["CLOUDFLARE_API_TOKEN"] = ""
    world.token("trainstack-dev-main-33333333")
    told = world.reap(*HERE).stderr
    (line,) = [line for line in told.splitlines() if line.startswith("not asked: the tokens")]
    if by_stack:
        assert "name the stack (--stack)" in line
        keeps_key(world, "cloudflare:apiToken", "planted-operator-token")
        assert TOKEN in world.reap("--stack", "dev", *HERE).stdout
    else:
        (variable,) = re.findall(r"tokens of runs: (\w+) is not set", line)
        world.environ[variable] = "planted-operator-token"
        assert TOKEN in world.reap(*HERE).stdout


def keeps_key(world: World, name: str, value: str) -> None:
    """A stack whose config has this secret and says that it is local."""
    world.pulumi(
        f"""case "$*" in
*"config get {name}"*) echo '{{"value": "{value}"}}';;
*config*) echo '{{"trainstack:cloud": {{"value": "local"}}, "{name}": {{"secret": true}}}}';;
*) echo '{{}}';; esac"""
    )


def test_no_state_is_asked_until_a_stack_is_named(world: World) -> None:
    machine = world.machine()
    world.ledger(entry(machine))
    told = world.reap(*HERE).stderr
    (option,) = re.findall(r"name its stack with (--stack)", told)
    world.stack(machine)
    named = world.reap(option, "dev", *HERE)
    assert "no state was asked" not in named.stderr
    assert " yes" in named.stdout


def test_of_two_options_that_mean_two_buckets_either_alone_is_asked(world: World) -> None:
    machine = world.machine()
    world.stack()
    refused = world.reap("--stack", "dev", "--bucket", "another")
    assert "Leave one of them out" in refused.stderr
    for left in (("--stack", "dev"), HERE):
        assert machine in world.reap(*left).stdout


@pytest.mark.parametrize("words", [HERE, ("--stack", "dev")], ids=["a bucket", "a stack"])
def test_machines_that_the_doctor_does_not_know_are_listed_by_the_command_it_names(
    world: World, words: tuple[str, str]
) -> None:
    machine = world.machine()
    world.stack()
    examined = runs(world, "doctor", *words)
    (command,) = commands_in(examined.stdout.replace("\n" + " " * 27, " "))
    assert command == ["reap", *words]
    assert machine in runs(world, *command).stdout


def test_after_ctrl_c_the_list_that_is_named_shows_what_became_of_it(world: World) -> None:
    """The machine's end was asked for; the person left before io.net said that it is gone."""
    machine = world.machine()
    words = ["reap", machine, *HERE, "--yes"]
    program = (
        "import sys; from runs import cli, machines\n"
        "def leave(client, machine):\n"
        "    client.delete(machine.deployment_id); raise KeyboardInterrupt\n"
        f"machines.give_back = leave; sys.argv = ['runs', *{words!r}]; cli.main()"
    )
    left = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=world.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert left.returncode == 130, left.stderr
    (command,) = commands_in(left.stderr)
    assert command == ["reap", *HERE]
    world.caas.until(machine, "destroyed")
    assert "no live machine" in runs(world, *command).stderr


def test_a_run_that_has_written_nothing_has_the_machine_that_reap_shows(world: World) -> None:
    machine = world.machine()
    world.ledger(entry(machine))
    early = runs(world, "status", *HERE, "--run", "main")
    assert "which has written nothing" in early.stderr
    (command,) = commands_in(early.stderr)
    assert machine in runs(world, *command).stdout
