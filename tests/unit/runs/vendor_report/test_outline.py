"""A vendor's answer as names and types."""

from __future__ import annotations

from typing import Any

import pytest

from runs.vendor_report.asking import framing
from runs.vendor_report.outline import outline


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ({}, ["(the answer): empty object"]),
        ([], ["[]: empty list"]),
        (None, ["(the answer): null"]),
        (
            {"data": {"deployments": [{"status": "running"}, {"status": "failed", "id": "x"}]}},
            [
                "data.deployments[].status: text (running, failed)",
                "data.deployments[].id: text",
            ],
        ),
        ([{"price": 1.5}, {"price": 2}], ["[].price: number or integer (1.5, 2)"]),
        ({"price": None, "sold_out": True}, ["price: null", "sold_out: boolean (True)"]),
        ({"statuses": ["a", "b"]}, ["statuses[]: text (a, b)"]),
        (
            {"total": [0, 1, 2, 3, 4, 5, 6, 7]},
            ["total[]: integer (0, 1, 2, 3, 4, 5, and 2 more)"],
        ),
        (
            {"container_config": {"env_variables": {"MY_NAME": "a", "OTHER": "b"}}},
            ["container_config.env_variables.*: text"],
        ),
        ({"detail": "x" * 100}, [f"detail: text ({'x' * 80}…)"]),
    ],
)
def test_an_answer_is_told_by_its_members(answer: Any, lines: list[str]) -> None:
    assert outline(answer) == lines


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("", "empty"),
        (": keep-alive", "comment"),
        ("data: step 1", "data: text"),
        ('data: {"a": 1}', "data: JSON"),
        ('{"a": 1}', "JSON"),
        ("key: of-somebody", "text"),
        ("step 1", "text"),
        ("event: end", "event: text"),
    ],
)
def test_a_line_of_a_stream_is_told_by_its_kind_alone(line: str, kind: str) -> None:
    assert framing(line) == kind
