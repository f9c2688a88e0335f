"""`autoExtend`: `pulumi up` and watchers buy hours for a run, once together, within its budget."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.ionet.client import Client
from components.ledger.page import Owner, Page
from container.contract.bought_time import BoughtTime
from runs.errors import SettingMissingError
from runs.extending import Extender
from runs.source.selector import Selector
from runs.source.source import Source
from runs.view.standing import View
from tests.contract.caas_place import API_KEY, CaasPlace, eventually
from tests.provider.builders import PREFIX, deployment
from tests.provider.conftest import NewProcess
from tests.provider.fake_r2 import BUCKET, FakeR2
from tests.provider.process import CallFailedError
from tests.provider.test_reap import World
from tests.runs_builders import status

KEY = f"/{BUCKET}/{Owner(project='trainstack', stack='dev', run='main').key}"
TOLD = f"/{BUCKET}/{PREFIX}/bought.json"
LATE: dict[str, Any] = {"bought_left_s": 1440.0, "in_time": "no", "stage_needs_s": 3600.0}


class Rented:
    """A machine with 24 minutes left, whose run says how it stands; and its state."""

    def __init__(
        self, new_process: NewProcess, caas: CaasPlace, r2: FakeR2, folder: Path, **inputs: Any
    ) -> None:
        self.new_process, self.caas, self.r2 = new_process, caas, r2
        self.world = World(caas, r2, folder)
        process = new_process()
        self.inputs, failures = process.check(
            deployment(r2.url, **{"autoExtend": 2.0, "maxCostUsd": 9.0, **inputs})
        )
        assert not failures, failures
        self.id, self.state = process.create(self.inputs)
        caas.until(self.id, "running")
        caas.time.advance(minutes=36)

    def says(self, **members: Any) -> None:
        told = status(beat_at=datetime.now(UTC).isoformat(), **{**LATE, **members})
        self.r2.objects[f"/{BUCKET}/{PREFIX}/status.json"] = told.to_json()

    def up(self, **changes: Any) -> str:
        """Preview and update as the engine does; return what was said."""
        process = self.new_process()
        news = {**self.inputs, **changes}
        changed, replaces = process.diff(self.id, self.state, news)
        assert not replaces
        if changed:
            self.state = process.update(self.id, self.state, news)
            self.inputs = news
        return process.said()

    def watcher(self, *, willing: dict[str, Any] | None = None) -> Extender:
        self._stack(willing or {"autoExtend": "2", "maxCostUsd": "9"})
        source = Source(Selector(stack="dev"), environ=self.world.environ)
        return Extender.of(source, Client(API_KEY, base_url=self.caas.url))

    def watch(self, *watchers: Extender, **members: Any) -> None:
        """Let watchers look at once, each as on a laptop of its own."""
        told = status(beat_at=datetime.now(UTC).isoformat(), **{**LATE, **members})
        view = View(run="main", prefix=PREFIX, standing="running", status=told, beat_age_s=1.0)
        looking = [
            threading.Thread(target=one.look, args=([view],), kwargs={"now_s": 1e6 * n})
            for n, one in enumerate(watchers, start=1)
        ]
        for one in looking:
            one.start()
        for one in looking:
            one.join()

    @property
    def hours(self) -> int:
        told = self.caas.details(self.id)
        return round((told["compute_minutes_served"] + told["compute_minutes_remaining"]) / 60)

    @property
    def page(self) -> Page:
        return Page.from_json(self.r2.objects[KEY])

    @property
    def told_hours(self) -> int:
        return BoughtTime.from_json(self.r2.objects[TOLD]).hours

    def _stack(self, keys: dict[str, Any]) -> None:
        kind = "pulumi-python:dynamic/ionet:CaasDeployment"
        outputs = {k: v for k, v in self.state.items() if not k.startswith("__")}
        resources = [{"urn": "d", "id": self.id, "type": kind, "outputs": outputs}]
        state = json.dumps({"version": 3, "deployment": {"resources": resources}})
        plain = {"cloud": "local", "bucket": BUCKET, "recipe": "rehearsal", "gpuType": "CPU"}
        config = {f"trainstack:{k}": {"value": v} for k, v in {**plain, **keys}.items()}
        folder = Path(self.world.environ["TRAINSTACK_LOCAL_CLOUD"])
        (folder / "state.json").write_text(state)
        (folder / "config.json").write_text(json.dumps(config))
        self.world.pulumi(
            f'case "$*" in *export*) cat {folder}/state.json;; *config*) cat {folder}/config.json;;'
            " *) echo '{}';; esac"
        )


Rent = Callable[..., Rented]


@pytest.fixture
def rent(new_process: NewProcess, caas: CaasPlace, r2: FakeR2, tmp_path: Path) -> Rent:
    return lambda **inputs: Rented(new_process, caas, r2, tmp_path, **inputs)


def test_an_update_buys_hours_for_a_run_that_will_not_end_and_tells_it(rent: Rent) -> None:
    one = rent()
    one.says()
    said = one.up()
    assert "will not end in the bought time: autoExtend buys" in said
    assert "1 h more of CPU in US at $0.40/h = $0.41, $0.82 in all (cap $9.00)" in said
    assert (one.hours, one.told_hours, one.page.automatic_hours) == (2, 2, 1)
    assert (one.state["durationHours"], one.state["extendedHours"]) == (1, 1)
    one.says(bought_left_s=84 * 60.0, in_time="yes")
    assert "buys" not in one.up()
    assert one.hours == 2


@pytest.mark.parametrize(
    ("says", "inputs"),
    [
        ({"in_time": "yes"}, {}),
        ({"in_time": "", "bought_left_s": 7200.0}, {}),
        ({"in_time": "unknown"}, {}),
        ({"outcome": "succeeded"}, {}),
        ({}, {"autoExtend": 0.0}),
    ],
)
def test_nothing_is_bought_in_the_hour_before_the_end_where_that_is_not_needed_or_not_allowed(
    rent: Rent, says: dict[str, Any], inputs: dict[str, Any]
) -> None:
    one = rent(**inputs)
    one.says(**says)
    one.up()
    one.watch(one.watcher(), **says) if not inputs else None
    assert one.hours == 1


def test_two_watchers_and_an_update_together_buy_once(rent: Rent) -> None:
    one = rent()
    one.says()
    one.watch(one.watcher(), one.watcher())
    assert (one.hours, one.told_hours, one.page.automatic_hours) == (2, 2, 1)
    one.says(bought_left_s=84 * 60.0, in_time="yes")
    said = one.up()
    assert one.hours == 2
    assert "cannot take" not in said


def test_the_hours_of_a_run_altogether_are_never_more_than_allowed(rent: Rent) -> None:
    one = rent()
    for needs_h in (1, 2.5, 5, 9):
        one.says(stage_needs_s=needs_h * 3600)
        one.up()
        one.watch(one.watcher(), one.watcher(), stage_needs_s=needs_h * 3600)
    assert (one.hours, one.page.automatic_hours) == (3, 2)
    one.says(stage_needs_s=9 * 3600.0)
    assert "has 2 of the 2 h that trainstack:autoExtend allows" in one.up()
    one.up(autoExtend=3.0)
    assert one.hours == 4


def test_the_next_update_takes_the_hours_that_a_watcher_bought_as_they_are(rent: Rent) -> None:
    one = rent()
    one.watch(one.watcher())
    assert one.hours == 2
    one.up(durationHours=2.0)  # raised to what is there: nothing is bought twice
    assert (one.hours, one.state["durationHours"]) == (2, 2)
    one.up(durationHours=3.0)
    assert (one.hours, one.told_hours) == (3, 3)
    with pytest.raises(CallFailedError, match="3 were bought, 2 are asked for"):
        one.up(durationHours=2.0)


def test_hours_raised_to_fewer_than_a_watcher_bought_stay_with_the_run(rent: Rent) -> None:
    one = rent()
    one.watch(one.watcher(), stage_needs_s=2 * 3600.0)
    assert one.hours == 3
    one.up(durationHours=2.0)
    assert (one.hours, one.told_hours) == (3, 3)
    assert (one.state["durationHours"], one.state["extendedHours"]) == (2, 1)


def test_only_hours_that_the_budget_pays_are_bought(rent: Rent) -> None:
    one = rent(maxCostUsd=0.9)
    one.says(stage_needs_s=2 * 3600.0)
    one.up()
    assert one.hours == 2
    one.says(stage_needs_s=2 * 3600.0)
    assert "To buy it: raise trainstack:maxCostUsd" in one.up()
    assert one.hours == 2
    one.up(maxCostUsd=1.3)
    assert one.hours == 3


def test_without_the_bucket_nothing_is_bought(rent: Rent, capsys: Any) -> None:
    one = rent()
    watcher = one.watcher()
    one.r2.refuse = "AccessDenied"
    one.watch(watcher)
    assert one.hours == 1
    assert "the ledger of rentals" in capsys.readouterr().err


def test_a_run_that_was_not_told_of_its_hours_is_told_by_the_next_look(rent: Rent) -> None:
    one = rent()
    watcher = one.watcher()
    one.r2.refuses_words = "bought.json"
    one.watch(watcher)
    assert one.hours == 2
    one.r2.refuses_words = ""
    watcher.asked.clear()
    one.watch(watcher)
    assert (one.hours, one.told_hours) == (2, 2)


def test_an_extension_that_was_killed_before_it_was_sent_is_not_counted(rent: Rent) -> None:
    one = rent(autoExtend=1.0)
    page = one.page
    at = datetime(2026, 1, 1, tzinfo=UTC)
    killed = page.edited(
        lambda e: True, extending_at=at, extending_to=2, extending_by="x", extending_automatic=1
    )
    one.r2.objects[KEY] = killed.to_json()
    one.says()
    one.up()
    assert (one.hours, one.page.automatic_hours) == (2, 1)


def test_extend_without_a_stack_or_hours_that_it_allows_is_refused(rent: Rent) -> None:
    one = rent()
    with pytest.raises(SettingMissingError, match="pulumi config set trainstack:autoExtend 2"):
        one.watcher(willing={"maxCostUsd": "9"})
    source = Source(Selector(bucket=BUCKET), environ=one.world.environ)
    with pytest.raises(SettingMissingError, match="--stack NAME"):
        Extender.of(source, Client(API_KEY, base_url=one.caas.url))
    one.watch(one.watcher(willing={"autoExtend": "2", "maxCostUsd": "9"}))  # with both it buys
    assert one.hours == 2


def test_the_price_of_a_gpus_hour_holds_for_extensions_too(rent: Rent) -> None:
    one = rent(maxUsdPerGpuHour=0.5)
    with pytest.raises(CallFailedError) as failed:
        one.up(durationHours=2.0, maxUsdPerGpuHour=0.39)
    text = str(failed.value)
    assert "would cost $0.40 an hour a GPU. Nothing was bought" in text
    assert "Raise trainstack:maxUsdPerGpuHour, which is $0.39" in text
    assert one.hours == 1
    one.up(durationHours=2.0, maxUsdPerGpuHour=0.4)
    assert one.hours == 2


def test_a_watcher_extends_within_a_whole_watch(rent: Rent) -> None:
    one = rent()
    one.watcher()
    one.says()

    def end_it() -> None:
        eventually(lambda: TOLD in one.r2.objects and one.told_hours == 2)
        one.r2.put_verdict(PREFIX, "succeeded")

    ending = threading.Thread(target=end_it)
    ending.start()
    words = ("watch", "--prefix", PREFIX, "--stack", "dev", "--extend", "--json")
    done = one.world.runs(*words)
    ending.join()
    assert one.hours == 2
    assert "up to 2 h more in all are bought, never beyond its budget of $9.00" in done.stderr
    assert "1 h more of CPU in US at $0.40/h = $0.41" in done.stderr
