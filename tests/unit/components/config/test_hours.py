"""How many whole hours are bought, and what the config may say of hours, GPUs and prices."""

from __future__ import annotations

from decimal import Decimal

import pytest

from components.config.hours import to_buy
from components.config.quotable import quotable_runs
from components.config.settings import SettingsError
from components.ionet import offers, properties
from tests.unit.components.config.test_compatibility import PAID
from tests.unit.components.config.test_settings import PAID_ENV, load, problems

LEFT_OPEN = {**PAID, "durationHours": None}


@pytest.mark.parametrize(
    ("expected", "bought"),
    [(0, 1), (0.05, 1), (0.7, 1), (0.8, 2), (1.8, 3), (2.5, 3), (2.51, 4), (4.0, 5), (10, 12)],
)
def test_a_fifth_more_and_a_quarter_of_an_hour_at_least_in_whole_hours(
    expected: float, bought: int
) -> None:
    assert to_buy(expected) == bought


@pytest.mark.parametrize("said", [None, "auto", "AUTO"])
def test_hours_that_are_left_open_follow_from_the_machine(said: str | None) -> None:
    run = load(PAID_ENV, **{**PAID, "durationHours": said}).runs[0]
    assert run.duration_hours == 0


@pytest.mark.parametrize(
    ("settings", "hours"),
    [({}, 3), ({"num_iterations": 9960}, 4), ({"depth": 26}, 7), ({"num_iterations": 50}, 2)],
    ids=str,
)
def test_settings_that_change_the_length_change_what_is_bought(
    settings: dict[str, object], hours: int
) -> None:
    run = load(PAID_ENV, **{**LEFT_OPEN, "recipeSettings": settings}).runs[0]
    wish = offers.wish_of(run)
    assert wish.hours_on(wish.models[0]) == hours


def test_a_run_that_takes_more_hours_than_are_sold_is_told_before_anyone_is_asked() -> None:
    a10 = {"gpuType": "A10", "gpusPerContainer": 1, "recipe": "nanochat-d32"}
    fits = {"recipeSettings": {"fp8": False, "window_pattern": "L"}}
    text = problems(PAID_ENV, **{**LEFT_OPEN, **a10, **fits})
    assert "durationHours = auto: nanochat-d32 takes about" in text
    assert "at most 168 are bought" in text


@pytest.mark.parametrize(
    ("said", "models"),
    [
        ("H100", ("H100",)),
        (["H100"], ("H100",)),
        (["H100 SXM", "H200"], ("H100 SXM", "H200")),
        ("H100 SXM, H200", ("H100 SXM", "H200")),
    ],
)
def test_a_gpu_may_be_one_of_several(said: object, models: tuple[str, ...]) -> None:
    assert load(PAID_ENV, **{**PAID, "gpuType": said}).runs[0].models == models


@pytest.mark.parametrize("said", [["H100", "?"], [], [["H100"]], [True], ["CPU", "H100"]])
def test_a_list_of_gpus_that_cannot_be_is_refused(said: object) -> None:
    assert "trainstack:gpuType = " in problems(PAID_ENV, **{**PAID, "gpuType": said})


def test_what_cannot_run_on_one_gpu_of_a_list_is_told() -> None:
    text = problems(PAID_ENV, **{**PAID, "gpuType": ["H100", "A100"]})
    assert 'set recipeSettings {"fp8": false, "window_pattern": "L"} too' in text


@pytest.mark.parametrize(("said", "allowed"), [("0", True), ("2.5", True), ("-1", False)])
def test_the_price_of_a_gpus_hour_is_dollars_or_0(said: str, allowed: bool) -> None:
    if not allowed:
        assert "maxUsdPerGpuHour = -1" in problems(PAID_ENV, **{**PAID, "maxUsdPerGpuHour": said})
        return
    run = load(PAID_ENV, **{**PAID, "maxUsdPerGpuHour": said}).runs[0]
    assert run.max_usd_per_gpu_hour == Decimal(said)


def test_what_is_quoted_without_bucket_and_secrets_is_what_a_deployment_would_ask_for() -> None:
    config = {"recipe": "nanochat-d20", "wandbRun": "mine", "maxUsdPerGpuHour": "4"}
    (run,) = quotable_runs(config, stack="prod")
    props = {
        "gpuType": run.gpu_type,
        "gpusPerContainer": float(run.gpus_per_container),
        "locations": list(run.locations),
        "autoHours": True,
        "timedFor": properties.timed_for(run.timed_for),
        "maxUsdPerGpuHour": 4.0,
    }
    assert properties.wish(props) == offers.wish_of(run)


def test_a_bad_config_is_not_quoted() -> None:
    with pytest.raises(SettingsError, match="durationHours = 0"):
        quotable_runs({"durationHours": "0"}, stack="prod")
