"""The billing clock's speed is a setting of whoever starts the local cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcloud import services
from localcloud.errors import LocalCloudError
from localcloud.place import load_place


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRAINSTACK_LOCAL_DIR", str(tmp_path))


@pytest.mark.parametrize(("value", "flag"), [("", "1"), ("60", "60"), ("0.5", "0.5")])
def test_the_caas_bills_at_the_speed_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, value: str, flag: str
) -> None:
    monkeypatch.setenv(services.CLOCK_SPEED, value)
    service = services._caas_service(load_place())
    assert f"--clock-speed={flag}" in service.command


@pytest.mark.parametrize("value", ["fast", "0", "-1", "inf", "nan"])
def test_a_speed_that_is_none_is_named_with_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(services.CLOCK_SPEED, value)
    with pytest.raises(LocalCloudError, match=f"TRAINSTACK_CLOCK_SPEED = {value}: must be"):
        services._caas_service(load_place())
