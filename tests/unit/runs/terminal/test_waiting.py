"""Whoever waits is told for what, when it takes its time."""

from __future__ import annotations

import time

import pytest

from runs.terminal import waiting


@pytest.mark.parametrize(("takes_s", "told"), [(0.3, True), (0.0, False)])
def test_a_wait_is_told_when_it_takes_its_time(
    takes_s: float,
    told: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(waiting, "SAY_AFTER_S", 0.1)
    with waiting.waiting("Cloudflare"):
        time.sleep(takes_s)
    time.sleep(0.2)
    assert ("waiting for Cloudflare …" in capsys.readouterr().err) is told
