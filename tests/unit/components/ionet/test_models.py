"""The vendor's answers, decoded in every shape that was seen."""

from __future__ import annotations

from typing import Any

import pytest

from components.ionet import models


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"status": "ok", "deployment_id": "a"}, "a"),
        ({"data": {"deployment_id": "a"}}, "a"),
        ({"cluster_id": "a"}, "a"),
        ({"id": "a"}, "a"),
        ({"status": "ok"}, None),
        (None, None),
    ],
)
def test_a_new_deployments_id_is_found_wherever_it_was_seen(answer: Any, found: str | None) -> None:
    assert models.deployment_id(answer) == found


@pytest.mark.parametrize(
    ("status", "life"),
    [
        ("deployment requested", "alive"),
        ("RUNNING", "alive"),
        ("something new", "alive"),
        ("Termination Requested", "ending"),
        ("completed", "ended"),
        ("Failed", "ended"),
        ("DESTROYED", "ended"),
    ],
)
def test_an_unknown_status_counts_as_alive_for_it_may_bill(status: str, life: str) -> None:
    assert models.life_of(status) == life
