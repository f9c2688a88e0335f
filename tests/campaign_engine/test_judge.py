"""The judge sees what is wrong, with the real stand-in of the vendor and nothing else real."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from components.ledger.page import Entry, Owner, Page
from tests.campaign_engine.account import Account
from tests.campaign_engine.charges import Charges
from tests.campaign_engine.fault_proxy import Answer
from tests.campaign_engine.faults import Call
from tests.campaign_engine.judge import OFFERED, Judge
from tests.campaign_engine.place import EARLIER, StoryPlace
from tests.contract.caas_place import deploy_body, eventually

NOWHERE = "http://127.0.0.1:9"  # puppets cannot write there


class Scene:
    """A judge, and a place of which each part can be set."""

    def __init__(self, folder: Path) -> None:
        self.account = Account(folder / "account", key="io-v2-own", endpoint=NOWHERE, quirks={})
        self.other = Account(folder / "other", key="io-v2-other", endpoint=NOWHERE, quirks={})
        self.charges = Charges(self.account)
        self.config: dict[str, Any] = {"maxCostUsd": 2, "durationHours": 1}
        self.stored = {EARLIER}
        self.left: list[str] = []
        backends = folder / "backends"
        backends.mkdir()
        self.state = backends / "state.json"
        self.place = SimpleNamespace(
            account=self.account,
            other=self.other,
            charges=self.charges,
            configured=self.config.get,
            keys=lambda: set(self.stored),
            tokens=lambda: self.left,
            bucket_exists=True,
            ended_machines=0,
            backends=backends,
            changes_are_refused=False,
            pages=list[Page],
            planted_secrets={"io.net key": "io-v2-own"},
        )
        self.judge = Judge(cast("StoryPlace", self.place))
        self.judge.note_runs()

    def rent(self, name: str, *, run: str = "main", hours: int = 1) -> str:
        env = {"RUN_NAME": run, "RUN_PREFIX": f"s-{run}-0badcafe-11111111", "RECIPE": "r"}
        env |= {"R2_ENDPOINT": NOWHERE, "R2_BUCKET": "b"}
        secret = {"R2_ACCESS_KEY_ID": "a", "R2_SECRET_ACCESS_KEY": "s"}
        body = deploy_body(
            name, env_variables=env, secret_env_variables=secret, duration_hours=hours
        )
        answer = self.account.service.call("POST", "deploy", key="io-v2-own", json=body)
        assert answer.status_code == 200, answer.text
        call = Call(vendor="ionet", method="POST", path="/deploy")
        self.charges.observe(call, Answer(status=200))
        return answer.json()["deployment_id"]

    def looks_at_the_price(self) -> None:
        self.charges.observe(
            Call(vendor="ionet", method="GET", path="/price?x=1"), Answer(status=200)
        )

    def violations(self) -> str:
        self.judge.after_command()
        return "; ".join(self.judge.violations)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path)
    yield found
    found.account.close()
    found.other.close()


def test_one_machine_whose_id_is_the_output_is_as_it_should_be(scene: Scene) -> None:
    rented = scene.rent("one")
    assert scene.violations() == ""
    scene.judge.after_mending({"deployment_id": rented})
    assert [one for one in scene.judge.violations if "cannot write" not in one] == []


def test_two_machines_of_one_run_are_seen_and_of_two_runs_are_fine(scene: Scene) -> None:
    scene.config["runs"] = {"main": {}, "other": {}}
    scene.judge.note_runs()
    scene.rent("one")
    scene.rent("two", run="other")
    assert scene.violations() == ""
    scene.rent("three")
    assert "main had two machines at the same time" in scene.violations()
    assert "main was rented 2 times where 1 were asked for" in scene.violations()


def test_one_after_the_other_is_a_machine_too_many_unless_it_was_asked_for(scene: Scene) -> None:
    scene.rent("one")
    scene.account.give_back_all()
    assert scene.account.ended()
    scene.judge.allow_another()
    scene.rent("two")
    assert scene.violations() == ""
    scene.account.give_back_all()
    assert scene.account.ended()
    scene.rent("three")
    assert scene.violations() == "run main was rented 3 times where 2 were asked for"


def test_hours_that_nobody_asked_for_are_seen(scene: Scene) -> None:
    scene.rent("one", hours=2)
    assert "was given 2 hours where 1 were asked for" in scene.violations()


def test_a_charge_above_the_cap_is_seen_if_its_price_could_be_known(scene: Scene) -> None:
    scene.account.behave(price_factor=10)
    scene.rent("one")
    assert "brought its cost to $4.09, above the cap of $2" in scene.violations()


def test_a_price_that_moves_after_the_last_look_is_nobodys_fault(scene: Scene) -> None:
    scene.looks_at_the_price()
    scene.account.behave(price_factor=10)
    scene.charges.price_moved()
    scene.rent("one")
    assert scene.violations() == ""


def test_after_destroy_machines_and_tokens_that_are_left_are_seen(scene: Scene) -> None:
    scene.rent("one")
    scene.left = ["trainstack-s-main-0badcafe"]
    scene.judge.after_destroy(of="destroy", last=True)
    assert scene.judge.violations == [
        "after destroy run main still has 1 live machine(s)",
        "after destroy 1 API token(s) are left: trainstack-s-main-0badcafe",
    ]


def test_an_output_that_names_another_machine_is_seen(scene: Scene) -> None:
    scene.rent("one")
    scene.judge.after_mending({"deployment_id": "7"})
    assert "which is not its live machine" in scene.judge.violations[0]


def test_a_machine_without_the_hours_that_it_should_have_is_seen(scene: Scene) -> None:
    rented = scene.rent("one")
    scene.judge.after_mending({"deployment_id": rented}, hours=3)
    assert "after the mending up run main has 1 hours, not 3" in scene.judge.violations


def test_a_machine_that_trains_other_settings_than_the_wanted_ones_is_seen(scene: Scene) -> None:
    rented = scene.rent("one")
    eventually(lambda: scene.account.live()[0].deployment.status == "running")
    scene.config["recipeSettings"] = {"num_iterations": 50}
    scene.judge.after_mending({"deployment_id": rented})
    assert "run main trains other settings than the wanted ones" in scene.judge.violations


def test_a_replacement_is_right_only_where_a_change_was_refused_and_it_was_said(
    scene: Scene,
) -> None:
    refused = Entry(
        intent="i",
        identity="x",
        name="one",
        hours=1,
        usd=Decimal("0.41"),
        asked_at=datetime.now(UTC),
        restart_refused="no",
    )
    page = Page(owner=Owner(project="p", stack="s", run="main"), entries=(refused,))
    scene.place.pages = lambda: [page]
    scene.rent("one")
    scene.account.give_back_all()
    assert scene.account.ended()
    scene.rent("two")
    scene.judge.note_output("up", f"main: {OFFERED} when it was asked (no)")
    assert scene.violations() == "a machine of run main was replaced where io.net refused no change"
    scene.place.changes_are_refused = True
    scene.judge.violations.clear()
    assert scene.violations() == ""
    scene.judge.note_output("up", "")
    scene.rent("three")
    assert "main was rented 3 times where 2 were asked for" in scene.violations()


def test_what_stood_in_the_bucket_and_is_gone_is_seen(scene: Scene) -> None:
    marker = "s-main-0badcafe-11111111/checkpoints/base/d2/complete_000010.json"
    scene.stored |= {marker, "s-main-0badcafe-11111111/preflight-1", "ledger/p/s/main.json"}
    assert scene.violations() == ""
    scene.stored = set()
    assert scene.violations() == (
        f"{EARLIER} was in the bucket and is lost; {marker} was in the bucket and is lost"
    )


def test_a_secret_in_an_output_or_in_plain_state_is_seen(scene: Scene) -> None:
    scene.judge.note_output("up", "key: io-v2-own")
    scene.state.write_text('{"key": "io-v2-own"}')
    scene.judge.after_all()
    assert scene.judge.violations == [
        "up printed the io.net key",
        "the io.net key stands in plain state",
    ]
