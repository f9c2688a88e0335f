"""What a machine pulls is read from a registry, and what cannot be read is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import image_size
from components import registry
from tests.unit.components.vendor_double import Vendor

AMD64 = {"digest": "sha256:aa", "platform": {"os": "linux", "architecture": "amd64"}}
ARM64 = {"digest": "sha256:bb", "platform": {"os": "linux", "architecture": "arm64"}}
LAYERS = {"layers": [{"size": 30_000_000}, {"size": 12_000_000}]}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    hub = Vendor()
    monkeypatch.setattr(registry, "DOCKER_HUB", hub.url.removeprefix("http://"))
    monkeypatch.delenv("BENCH_IMAGE", raising=False)
    yield hub
    hub.stop()


def test_the_layers_of_an_amd64_machine_are_summed(hub: Vendor) -> None:
    hub.will(200, {"manifests": [ARM64, AMD64]})
    hub.will(200, LAYERS)
    assert registry.compressed_bytes(registry.DOCKER_HUB, "library/x", "1", None) == 42_000_000
    assert hub.calls[1] == "GET /v2/library/x/manifests/sha256:aa"


@pytest.mark.parametrize("told", [{}, [], {"manifests": [ARM64]}, {"manifests": [{}]}])
def test_an_answer_of_another_shape_is_one_error(hub: Vendor, told: Any) -> None:
    hub.will(200, told)
    with pytest.raises(ValueError, match="no image of linux/amd64"):
        registry.compressed_bytes(registry.DOCKER_HUB, "library/x", "1", None)


def test_the_base_now_stands_against_the_one_before(
    hub: Vendor, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.will(200, {"layers": [{"size": 5_000_000_000}]})
    hub.will(200, LAYERS)
    (figure,) = image_size.measure(False)
    assert (figure.shown, figure.against[:15]) == ("42 MB", "before: 5000 MB")
    assert "/library/ubuntu/manifests/24.04" in hub.calls[1]
    assert "BENCH_IMAGE is not set" in capsys.readouterr().err


def test_an_image_stands_against_what_it_was_on_the_base_before(
    hub: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = hub.url.removeprefix("http://")
    monkeypatch.setenv("BENCH_IMAGE", f"{host}/somebody/nanochat@sha256:{'a' * 64}")
    for size in (5_000_000_000, 30_000_000, 4_500_000_000):
        hub.will(200, {"layers": [{"size": size}]})
    _, figure = image_size.measure(False)
    assert (figure.shown, figure.against) == ("4500 MB", "on the base before: 9470 MB")


def test_what_cannot_be_had_is_said(hub: Vendor, capsys: pytest.CaptureFixture[str]) -> None:
    hub.will(503, {})
    assert image_size.measure(False) == []
    said = capsys.readouterr().err
    assert said.count("did not say how large") == 2
