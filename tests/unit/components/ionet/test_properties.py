"""How a cap in dollars stands in the state, and is read back."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config.run_settings import TimedFor
from components.ionet import machine_state, properties
from tests.provider.builders import deployment


@pytest.mark.parametrize(("amount", "stored"), [("150", 150), ("150.00", 150), ("0.5", 0.5)])
def test_whole_dollars_stay_a_whole_number_in_the_state(amount: str, stored: float) -> None:
    """A deployment that was rented before cents were allowed shows no difference."""
    value = properties.dollars(Decimal(amount))
    assert (value, type(value)) == (stored, type(stored))


@given(st.decimals(min_value="0.01", max_value=100_000, places=2))
def test_a_cap_is_read_back_to_the_cent_as_the_engine_hands_it_over(amount: Decimal) -> None:
    as_number = float(properties.dollars(amount))
    assert machine_state.cap_usd({"maxCostUsd": as_number}) == amount


FIGURES = TimedFor(gpu="H100 SXM", hours=1.8, memory_gb=75)
OFFER_OF_BEFORE = (
    '{"country": "FI", "gpus": 8, "hardwareId": "8H100.80S.176V", "hardwareName": "H100", '
    '"locationIds": ["FI"], "priceUsdPerHour": "27.87", "totalUsd": "139.4"}'
)


def test_what_a_recipe_is_timed_for_comes_back_and_older_states_have_none() -> None:
    props = {"gpuType": "H100", "gpusPerContainer": 8.0, "durationHours": 5.0}
    assert properties.wish(props).timed_for is None
    with_figures = {**props, "timedFor": properties.timed_for(FIGURES)}
    assert properties.wish(with_figures).timed_for == FIGURES


@pytest.mark.parametrize(("gpu_type", "told"), [("H100", "H100 SXM 80GB"), ("CPU", None)])
def test_the_machine_is_told_what_its_offer_said_it_is(gpu_type: str, told: str | None) -> None:
    """Also by an offer that an older release keeps in the state."""
    props = deployment("http://127.0.0.1:1", gpuType=gpu_type, offer=OFFER_OF_BEFORE)
    request = properties.rental(props).request(private_name="n")
    assert request.env.get("GPU_RENTED") == told
    assert "GPU_RENTED" not in request.secret_env
