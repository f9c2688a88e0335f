"""What the SDK tells the engine for debugging holds no serialized property."""

from __future__ import annotations

import pytest
from pulumi import log

from components import debug_log


def test_properties_are_cut_from_a_debug_line_and_other_lines_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(log, "debug", lambda msg, *_, **__: told.append(msg))
    debug_log.hide_properties()
    log.debug("preparing resource: name=one, props={'key': 's3cr3t-value'}")
    log.debug("a line without any")
    assert told == ["preparing resource: name=one", "a line without any"]
