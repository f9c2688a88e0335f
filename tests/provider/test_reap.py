"""`python -m runs reap` as a process: key, token and bucket are enough, whatever became of a state.

The io.net account and the bucket are stand-ins; a program named pulumi stands for the CLI.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from components.ionet.rental.others import Other, refusal
from components.ledger.page import Entry, Owner, Page
from tests import ROOT
from tests.contract.caas_place import API_KEY, UNKNOWN_ID, CaasPlace
from tests.provider.fake_r2 import ACCOUNT, BUCKET, FakeR2
from tests.runs_builders import status

OWNER = Owner(project="trainstack", stack="dev", run="main")
ELSEWHERE = "11111111-0000-4000-8000-000000000000"  # a deployment of another account
TOKEN = "b" * 32
OPERATOR = "planted-operator-token"
NO_STACK = "echo \"error: no stack named 'dev' found\" >&2; exit 6"


def ago(**time: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**time)


def entry(deployment_id: str = "", identity: str = "0a1b2c3d", **members: Any) -> Entry:
    defaults: dict[str, Any] = {
        "intent": f"intent-of-{deployment_id or identity}",
        "identity": identity,
        "name": f"{OWNER.stem}{identity}-cafe0001",
        "hours": 5,
        "usd": Decimal("12.30"),
        "asked_at": ago(hours=2),
        "state": "rented" if deployment_id else "asked",
        "deployment_id": deployment_id,
    }
    return Entry(**{**defaults, **members})


class World:
    """One account, one bucket, and how the CLI of Pulumi answers; `reap` is the process."""

    def __init__(self, caas: CaasPlace, r2: FakeR2, folder: Path) -> None:
        self.caas, self.r2, self._folder = caas, r2, folder
        self.environ = {
            "TRAINSTACK_LOCAL_CLOUD": str(folder),
            "IONET_BASE_URL": caas.url,
            "IOCLOUD_API_KEY": API_KEY,
            "CLOUDFLARE_BASE_URL": r2.cloudflare_url,
            "CLOUDFLARE_API_TOKEN": OPERATOR,
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
            "R2_ENDPOINT_URL": r2.url,
            "HOME": os.environ.get("HOME", "/"),
            "PATH": "/usr/bin:/bin",
            "COLUMNS": "80",
        }

    def pulumi(self, script: str) -> None:
        program = self._folder / "pulumi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        self.environ["PATH"] = f"{self._folder}:/usr/bin:/bin"

    def stack(self, *ids: str) -> None:
        """A stack whose state has these IDs and no outputs; its config names the bucket."""
        resources = [{"urn": "stack"}, *({"urn": "d", "id": one} for one in ids)]
        state = json.dumps({"version": 3, "deployment": {"resources": resources}})
        config = {"trainstack:cloud": {"value": "local"}, "trainstack:bucket": {"value": BUCKET}}
        self.pulumi(
            f"case \"$*\" in *export*) echo '{state}';; *config*) echo '{json.dumps(config)}';; "
            "*) echo '{}';; esac"
        )

    def ledger(self, *entries: Entry) -> None:
        page = Page(owner=OWNER, entries=entries)
        self.r2.objects[f"/{BUCKET}/{OWNER.key}"] = page.to_json()

    def states(self) -> list[str]:
        page = Page.from_json(self.r2.objects[f"/{BUCKET}/{OWNER.key}"])
        return [one.state for one in page.entries]

    def machine(self, identity: str = "0a1b2c3d") -> str:
        found = self.caas.deploy(f"{OWNER.stem}{identity}-cafe0001")
        self.caas.until(found, "running")
        return found

    def token(self, name: str, *, one: str = TOKEN, bucket: str = BUCKET, **time: float) -> None:
        self.r2.tokens[one] = name
        resource = f"com.cloudflare.edge.r2.bucket.{ACCOUNT}_default_{bucket}"
        self.r2.token_members[one] = {
            "issued_on": ago(**(time or {"days": 3})).isoformat(),
            "policies": [{"effect": "allow", "resources": {resource: "*"}}],
        }

    def reap(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        return self.runs("reap", *words, expect=expect)

    def runs(self, *words: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "runs", *words],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == expect, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert API_KEY not in done.stdout + done.stderr
        assert OPERATOR not in done.stdout + done.stderr
        assert max(map(len, done.stdout.splitlines()), default=0) <= 80 or "--json" in words
        return done

    def listed(self, *words: str) -> dict[str, Any]:
        return json.loads(self.reap("--json", *words).stdout)


@pytest.fixture
def world(caas: CaasPlace, r2: FakeR2, tmp_path: Path) -> World:
    return World(caas, r2, tmp_path)


def no_pulumi(world: World) -> list[str]:
    return ["--bucket", BUCKET]


def lost_stack(world: World) -> list[str]:
    world.pulumi(NO_STACK)
    return ["--stack", "dev", "--bucket", BUCKET]


def lost_state(world: World) -> list[str]:
    world.stack()
    return ["--stack", "dev"]


def another_machine(world: World) -> list[str]:
    world.stack("a-machine-of-before")
    return ["--stack", "dev"]


@pytest.mark.parametrize("lost", [no_pulumi, lost_stack, lost_state, another_machine])
def test_all_is_found_and_a_machine_given_back_though_the_state_is_lost(
    world: World, lost: Callable[[World], list[str]]
) -> None:
    options = lost(world)
    machine = world.machine()
    world.ledger(entry(machine), entry(ELSEWHERE, "11111111"), entry(identity="22222222"))
    world.token("trainstack-dev-main-33333333")
    found = world.listed(*options)
    (one,) = found["machines"]
    assert (one["deployment_id"], one["ledger"]["run"], one["ledger"]["stack"]) == (
        machine,
        "main",
        "dev",
    )
    assert [one["says"] for one in found["rentals"]] == [
        "unknown to this account",
        "asked for, ID unknown",
    ]
    assert [one["may_be_revoked"] for one in found["tokens"]] == [True]
    assert found["not_asked"] == []
    world.reap(machine, *options, "--yes")
    assert world.caas.details(machine)["status"] == "destroyed"
    assert world.states() == ["given back", "rented", "asked"]
    again = world.reap(machine, *options, "--yes")
    assert f"{machine} has ended, and is closed in the ledger as given back" in again.stderr
    assert world.listed(*options)["machines"] == []


@pytest.mark.parametrize("lost", [lost_stack, lost_state, another_machine])  # up needs Pulumi
def test_the_command_that_up_tells_when_another_machine_lives_can_be_typed(
    world: World, lost: Callable[[World], list[str]]
) -> None:
    bucket = lost(world)[2:]  # a stack that is no more tells no bucket
    machine = world.machine()
    world.ledger(entry(machine), entry(ELSEWHERE, "11111111"))
    for other in (
        Other(id=machine, name="trainstack-dev-main-0a1b2c3d-cafe0001"),
        Other(id=ELSEWHERE, name="trainstack-dev-main-11111111-cafe0001", is_shown=False),
    ):
        told = refusal(OWNER, other, account="this account")
        command = told.partition("python -m runs reap ")[2].split()
        world.reap(*command, *bucket)
    assert world.caas.details(machine)["status"] == "destroyed"
    assert world.states() == ["given back", "given back"]


def test_what_this_account_does_not_show_is_only_forgotten_in_so_many_words(world: World) -> None:
    world.ledger(entry(ELSEWHERE), entry(identity="22222222"))
    options = ("--bucket", BUCKET)
    refused = world.reap(ELSEWHERE, *options, "--yes", expect=1)
    assert "may live and bill in another" in refused.stderr
    assert "--forget" in refused.stderr
    assert "say --yes" in world.reap(ELSEWHERE, *options, "--forget").stderr
    assert world.states() == ["rented", "asked"]
    done = world.reap(ELSEWHERE, *options, "--forget", "--yes")
    assert "if it lives in another account, it bills on there" in done.stderr
    assert world.states() == ["given back", "asked"]
    assert "closed in the ledger" in world.reap(ELSEWHERE, *options, "--forget", "--yes").stderr
    world.reap("intent-of-22222222", *options, "--forget", "--yes")
    assert world.states() == ["given back", "lost"]
    assert [one["says"] for one in world.listed(*options)["rentals"]] == ["asked for, never shown"]


def test_a_machine_that_ended_by_itself_is_only_closed_in_the_ledger(world: World) -> None:
    machine = world.machine()
    world.ledger(entry(machine))
    world.caas.call("DELETE", f"deployment/{machine}")
    world.caas.until(machine, "destroyed")
    assert world.listed("--bucket", BUCKET)["rentals"] == []
    assert "has ended" in world.reap(machine, "--bucket", BUCKET, "--yes").stderr
    assert world.states() == ["given back"]


def test_a_token_is_revoked_by_its_id_and_a_second_time_is_no_error(world: World) -> None:
    world.token("trainstack-dev-main-0a1b2c3d-2")
    world.r2.tokens |= {"0" * 32: "trainstack-operator-0a1b2c3d", "c" * 32: "somebody-elses"}
    options = ("--bucket", BUCKET)
    found = world.listed(*options)["tokens"]
    assert [(one["token_id"], one["identity"]) for one in found] == [(TOKEN, "0a1b2c3d")]
    assert "say --yes" in world.reap(TOKEN, *options).stderr
    assert TOKEN in world.r2.tokens
    assert "is revoked" in world.reap(TOKEN, *options, "--yes").stderr
    assert set(world.r2.tokens) == {"0" * 32, "c" * 32}
    assert "or none any more" in world.reap(TOKEN, *options, "--yes").stderr
    for other in ("0" * 32, "c" * 32):
        world.reap(other, *options, "--yes")
        assert other in world.r2.tokens


def young(world: World) -> str:
    world.token("trainstack-dev-main-0a1b2c3d", hours=23)
    return "younger than a day"


def of_a_machine(world: World) -> str:
    world.machine()
    return "a live machine"


def of_a_rental(world: World) -> str:
    world.ledger(entry(ELSEWHERE))
    return "open in the ledger"


def beating(world: World) -> str:
    beat = status(beat_at=ago(minutes=5).isoformat()).to_json()
    world.r2.objects[f"/{BUCKET}/dev-main-0a1b2c3d-deadbeef/status.json"] = beat
    return "signs of life"


def known(world: World) -> str:
    world.stack(TOKEN)
    return "state knows it"


def of_another_bucket(world: World) -> str:
    world.token("trainstack-dev-main-0a1b2c3d", bucket="another")
    return "another"


def no_bucket(world: World) -> str:
    world.r2.refuse = "AccessDenied"
    return "bucket could not be asked"


@pytest.mark.parametrize(
    "protect",
    [young, of_a_machine, of_a_rental, beating, known, of_another_bucket, no_bucket],
)
def test_a_token_that_something_speaks_for_stays_and_the_reason_is_told(
    world: World, protect: Callable[[World], str]
) -> None:
    world.token("trainstack-dev-main-0a1b2c3d")
    options = ["--bucket", BUCKET]
    reason = protect(world)
    if protect is known:
        options += ["--stack", "dev"]
    (one,) = world.listed(*options)["tokens"]
    assert reason in one["kept_because"]
    assert reason in world.reap(TOKEN, *options, "--yes", expect=1).stderr
    assert TOKEN in world.r2.tokens


def test_a_run_that_was_silent_for_long_keeps_no_token(world: World) -> None:
    world.token("trainstack-dev-main-0a1b2c3d")
    beat = status(beat_at=ago(minutes=15).isoformat()).to_json()
    world.r2.objects[f"/{BUCKET}/dev-main-0a1b2c3d-deadbeef/status.json"] = beat
    world.reap(TOKEN, "--bucket", BUCKET, "--yes")
    assert TOKEN not in world.r2.tokens


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("bucket", "--bucket NAME"),
        ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_TOKEN is not set"),
        ("CLOUDFLARE_ACCOUNT_ID", "Set CLOUDFLARE_ACCOUNT_ID"),
    ],
)
def test_a_machine_is_given_back_where_only_io_net_can_be_asked(
    world: World, without: str, told: str
) -> None:
    world.environ.pop(without, None)
    machine = world.machine()
    options = () if without == "bucket" else ("--bucket", BUCKET)
    listed = world.reap(*options)
    lines = [line for line in listed.stderr.splitlines() if told in line]
    assert lines and all(line.startswith("not asked: ") for line in lines)
    assert machine in listed.stdout
    world.reap(machine, *options, "--yes")
    assert world.caas.details(machine)["status"] == "destroyed"


@pytest.mark.parametrize("away", ["the bucket", "Cloudflare"])
def test_who_does_not_answer_is_told_and_hides_no_machine(world: World, away: str) -> None:
    name = {"the bucket": "R2_ENDPOINT_URL", "Cloudflare": "CLOUDFLARE_BASE_URL"}[away]
    world.environ[name] = "http://127.0.0.1:9"
    machine = world.machine()
    world.ledger(entry(machine))
    done = world.reap(machine, "--bucket", BUCKET, "--yes")
    assert "not asked: the ledger: " in done.stderr
    assert world.caas.details(machine)["status"] == "destroyed"
    world.environ[name] = {"the bucket": world.r2.url, "Cloudflare": world.r2.cloudflare_url}[away]
    world.reap(machine, "--bucket", BUCKET, "--yes")
    assert world.states() == ["given back"]


def test_a_mistyped_id_is_answered_with_the_nearest_there_is(world: World) -> None:
    machine = world.machine()
    done = world.reap(f"{machine[:-1]}x", "--bucket", BUCKET, "--yes", expect=2)
    assert f"did you mean {machine}?" in done.stderr
    assert world.caas.details(machine)["status"] != "destroyed"


def test_a_bucket_that_is_not_there_is_no_empty_ledger(world: World) -> None:
    world.r2.refuse = "NoSuchBucket"
    done = world.reap("--bucket", "mistyped")
    assert "there is no bucket mistyped" in done.stderr


def test_a_page_that_cannot_be_read_hides_no_other_and_keeps_every_token(world: World) -> None:
    world.token("trainstack-dev-main-33333333")
    world.ledger(entry(ELSEWHERE))
    world.r2.objects[f"/{BUCKET}/ledger/trainstack/dev/wide.json"] = b'{"schema": 99}'
    found = world.listed("--bucket", BUCKET)
    assert [one["deployment_id"] for one in found["rentals"]] == [ELSEWHERE]
    assert "ledger/trainstack/dev/wide.json" in found["not_asked"][0]
    assert not found["tokens"][0]["may_be_revoked"]


def test_an_id_that_nobody_knows_is_refused_before_anything_is_done(world: World) -> None:
    machine = world.machine()
    done = world.reap(machine, UNKNOWN_ID, "--bucket", BUCKET, "--yes", "--forget", expect=2)
    assert f"with the id {UNKNOWN_ID}" in done.stderr
    assert world.caas.details(machine)["status"] == "running"


def test_a_stack_that_is_no_more_names_only_options_that_there_are(world: World) -> None:
    world.pulumi(NO_STACK)
    machine = world.machine()
    done = world.reap("--stack", "dev")
    assert machine in done.stdout
    assert "--bucket NAME" in done.stderr
    assert "--prefix" not in done.stderr
