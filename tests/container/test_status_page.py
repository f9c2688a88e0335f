"""What the status page shows of a run."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from container.contract.bought_time import InTime
from container.contract.clock import Clock
from container.contract.keys import MetricSegment
from container.contract.records import RunStatus
from container.storage.bucket import RunBucket
from container.telemetry.history import show_past
from container.telemetry.run_log import RunLog
from container.telemetry.run_status import CURVE_POINTS, LiveStatus
from container.web.status_page import StatusPage, duration, loss_curve, percent
from tests.runs_builders import jsonl, metric

SECRET = "r2-secret-planted-<5d1f>&c09a"
TOKEN = "chat-token-planted-3e77"


@pytest.fixture
def live_status() -> LiveStatus:
    return LiveStatus(run="main", recipe="fake", price_usd_per_hour=Decimal(1), clock=Clock())


@pytest.fixture
def page(live_status: LiveStatus) -> Iterator[str]:
    one = StatusPage(live_status, port=0, access_token=TOKEN)
    one.start()
    yield f"http://127.0.0.1:{one.port}"
    one.stop()


def status(**changes: Any) -> RunStatus:
    return RunStatus(run="main", attempt=1, recipe="rehearsal", stage="base", **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.0),
        ({"step": 90, "total_steps": 360}, 25.0),
        ({"step": 361, "total_steps": 360}, 100.0),
        ({"outcome": "succeeded"}, 100.0),
        ({"outcome": "failed", "step": 90, "total_steps": 360}, 25.0),
    ],
)
def test_the_bar_tells_how_far_the_stage_is_and_is_full_after_a_success(
    changes: dict[str, Any], expected: float
) -> None:
    assert percent(status(**changes)) == expected


@pytest.mark.parametrize(
    ("elapsed_s", "shown"),
    [(0.0, "0 min 00 s"), (121.9, "2 min 01 s"), (3600.0, "1 h 00 min"), (16_260.0, "4 h 31 min")],
)
def test_time_is_shown_in_two_units(elapsed_s: float, shown: str) -> None:
    assert duration(elapsed_s) == shown


def across(points: list[tuple[str, int, float]]) -> list[list[float]]:
    """Return how far to the right the points of each line are, of 1000."""
    lines = re.findall(r' points="([^"]*)"', loss_curve(points))
    return [[float(point.split(",")[0]) for point in line.split()] for line in lines]


def test_the_loss_is_drawn_where_its_step_is_and_not_where_its_number_in_the_list_is() -> None:
    """Older points are thinner: placed by their number, a run's begin looked too short."""
    thinned = [("base", step, 4.0) for step in (0, 400, 800, 900, 950, 1000)]
    assert across(thinned) == [[0, 400, 800, 900, 950, 1000]]


def test_stages_are_drawn_side_by_side_each_as_wide_as_its_steps() -> None:
    base = [("base", step, 4.0) for step in (0, 500, 799)]
    sft = [("sft", step, 2.0) for step in (0, 100, 200)]
    first, second = across([*base, *sft])
    assert (first[0], second[-1]) == (0, 1000)
    assert first[-1] == pytest.approx(799, abs=0.1)
    assert second == pytest.approx([800, 900, 1000], abs=0.1)
    assert across([("base", 300, 4.0), ("base", 310, 3.0)]) == [[0, 1000]]
    assert loss_curve([("base", 1, 4.0)]) == ""
    assert len(across([("base", 1, 4.0), ("sft", 1, 4.0)])) == 2


@pytest.mark.parametrize("every", [1, 10, 37])
def test_a_long_curve_is_thinned_evenly_and_ends_at_the_newest_step(
    live_status: LiveStatus, every: int
) -> None:
    """Only old points were dropped: the begin of the curve had a tenth of the end's detail."""
    steps = range(1, 21_000 * every, every)
    for step in steps:
        live_status.add_point("base", step, 4.0)
    kept = [step for _, step, _ in live_status.curve()]
    assert CURVE_POINTS / 3 < len(kept) <= CURVE_POINTS
    assert (kept[0], kept[-1]) == (steps[0], steps[-1])
    gaps = [later - earlier for earlier, later in pairwise(kept[:-1])]
    assert max(gaps) <= 2 * min(gaps)


def test_each_stage_keeps_its_first_and_its_last_loss(live_status: LiveStatus) -> None:
    for stage, steps in (("base", 9001), ("sft", 813), ("eval", 1)):
        for step in range(steps):
            live_status.add_point(stage, step, 4.0)
    for stage, last in (("base", 9000), ("sft", 812), ("eval", 0)):
        kept = [step for name, step, _ in live_status.curve() if name == stage]
        assert (kept[0], kept[-1]) == (0, last)


def test_a_step_that_is_done_again_replaces_what_came_after_it_in_a_thinned_curve(
    live_status: LiveStatus,
) -> None:
    for step in range(9000):
        live_status.add_point("base", step, 4.0)
    for step in range(5000, 5003):
        live_status.add_point("base", step, 3.0)
    kept = [(step, loss) for _, step, loss in live_status.curve()]
    assert kept[-1] == (5002, 3.0)
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    assert all(loss == 4.0 for step, loss in kept if step < 5000)


def test_the_curve_of_twelve_attempts_loses_none_of_them(
    live_status: LiveStatus, bucket: RunBucket
) -> None:
    """Segments came in order of their keys: attempt 2 after 12, which lost all from 10 on."""
    for attempt in range(1, 13):
        steps = range(attempt * 10, attempt * 10 + 10)
        lines = (metric("base", step, loss=float(attempt)) for step in steps)
        bucket.put(MetricSegment(attempt=attempt).key, jsonl(*lines))
    show_past(live_status, bucket).join(60)
    expected = [("base", step, float(step // 10)) for step in range(10, 130)]
    assert live_status.curve() == expected


def test_a_secret_that_a_stage_printed_is_not_on_the_page(
    live_status: LiveStatus, page: str, tmp_path: Path
) -> None:
    out = io.StringIO()
    run_log = RunLog(
        folder=tmp_path, live_status=live_status, clock=Clock(), secrets=[SECRET, TOKEN], out=out
    )
    run_log.line("base", f"environ: R2_SECRET_ACCESS_KEY={SECRET} ACCESS_TOKEN={TOKEN}, step 1")
    run_log.event(f"the stage ended: {SECRET}")
    shown = requests.get(page, timeout=10).text
    assert "R2_SECRET_ACCESS_KEY=*** ACCESS_TOKEN=***, step 1" in shown
    assert "the stage ended: ***" in shown
    for path in ("", "/status.json", "/metrics", "/chat"):
        text = requests.get(page + path, timeout=10).text
        assert "planted" not in text, path
    assert "planted" not in out.getvalue()


def test_what_is_said_to_the_model_is_not_on_the_page(
    live_status: LiveStatus, page: str, tmp_path: Path
) -> None:
    run_log = RunLog(folder=tmp_path, live_status=live_status, clock=Clock(), out=io.StringIO())
    run_log.line("serve", "asked: a private thing", on_page=False)
    assert "private" not in requests.get(page, timeout=10).text


def test_a_line_of_a_stage_cannot_put_markup_on_the_page(
    live_status: LiveStatus, page: str, tmp_path: Path
) -> None:
    run_log = RunLog(folder=tmp_path, live_status=live_status, clock=Clock(), out=io.StringIO())
    run_log.line("base", "<script>alert(1)</script> $run")
    shown = requests.get(page, timeout=10).text
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $run" in shown


@pytest.mark.parametrize("ended", [False, True])
def test_after_the_verdict_page_and_metrics_say_that_the_machine_is_still_rented(
    *, ended: bool
) -> None:
    live_status = LiveStatus(
        run="main", recipe="fake", price_usd_per_hour=Decimal(1), clock=Clock(), rented_hours=3
    )
    one = StatusPage(live_status, port=0, access_token=TOKEN, stop_command="python -m runs stop p")
    one.start()
    if ended:
        live_status.end("succeeded")
    address = f"http://127.0.0.1:{one.port}"
    page = requests.get(address, timeout=10).text
    metrics = requests.get(f"{address}/metrics", timeout=10).text
    one.stop()
    told = "machine STILL RENTED 3.0 h; `python -m runs stop p` gives it back"
    assert (told in page) is ended
    (flag,) = [line for line in metrics.splitlines() if line.startswith("trainstack_still_rented")]
    assert flag.endswith(" 1") is ended
    assert re.search(r"^trainstack_rented_hours_left\{.*\} 3\.0$", metrics, re.MULTILINE)


@pytest.mark.parametrize(
    ("left_s", "hours"), [(5 * 3600.0, "5.0"), (1800.0, "0.5"), (-60.0, "0.0")]
)
def test_page_metrics_and_status_tell_the_same_hours_left_with_those_bought_since(
    left_s: float, hours: str
) -> None:
    live_status = LiveStatus(
        run="main", recipe="fake", price_usd_per_hour=Decimal(1), clock=Clock(), rented_hours=3
    )
    live_status.bought(left_s=left_s)
    live_status.end("succeeded")
    one = StatusPage(live_status, port=0, access_token=TOKEN, stop_command="python -m runs stop p")
    one.start()
    address = f"http://127.0.0.1:{one.port}"
    page, metrics, told = (
        requests.get(f"{address}{path}", timeout=10).text
        for path in ("", "/metrics", "/status.json")
    )
    one.stop()
    assert f"machine STILL RENTED {hours} h" in page
    (line,) = [one for one in metrics.splitlines() if "trainstack_rented_hours_left{" in one]
    assert line.endswith(f" {hours}")
    status = RunStatus.from_json(told.encode())
    assert status.rented_hours_left == float(hours)
    assert status.bought_left_s == pytest.approx(left_s, abs=20)


@pytest.mark.parametrize(
    ("in_time", "words", "metric"),
    [
        ("no", "the run will NOT end in time; this stage takes about 70 min more", "0"),
        ("yes", "the run will end in time; this stage takes about 70 min more", "1"),
        ("unknown", "whether the run ends in time is not known; this stage", None),
        ("", "", None),
    ],
)
def test_page_and_metrics_say_whether_the_run_ends_within_its_bought_time(
    live_status: LiveStatus, page: str, in_time: InTime, words: str, metric: str | None
) -> None:
    live_status.bought(left_s=3000.0, in_time=in_time, needs_s=4200.0)
    shown = requests.get(page, timeout=10).text
    metrics = requests.get(f"{page}/metrics", timeout=10).text
    assert words in shown
    assert ("bought time ends in 50 min" in shown) is bool(in_time)
    lines = [one for one in metrics.splitlines() if one.startswith("trainstack_ends_in_time{")]
    assert [one.rpartition(" ")[2] for one in lines] == ([] if metric is None else [metric])
    assert "trainstack_bought_seconds_left{" in metrics


def test_a_container_that_nobody_rented_says_nothing_of_a_rental(page: str) -> None:
    assert "rented" not in requests.get(f"{page}/metrics", timeout=10).text
