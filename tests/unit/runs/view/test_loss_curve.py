"""The loss curve: how a history is drawn and printed."""

from __future__ import annotations

import csv

import pytest

from runs.view import loss_curve
from tests.runs_builders import metric


def test_csv_has_a_header_and_empty_cells() -> None:
    rows = list(csv.DictReader(loss_curve.csv_lines([metric("base", 1, loss=2.5)])))
    assert rows[0]["step"] == "1"
    assert rows[0]["loss"] == "2.5"
    assert rows[0]["val_bpb"] == ""


def test_json_leaves_out_what_is_absent() -> None:
    (found,) = loss_curve.as_json([metric("base", 1, loss=2.5)])
    assert "val_bpb" not in found
    assert found["loss"] == 2.5


@pytest.mark.parametrize("colour", [False, True])
def test_the_drawing_fits_the_terminal_and_names_where_it_begins_and_ends(colour: bool) -> None:
    metrics = [metric("base", n, loss=6.0 - n / 50, val_bpb=1.0) for n in range(200)]
    (picture,) = loss_curve.pictures(metrics, run="main", width=80, colour=colour)
    assert "main base" in picture
    assert "6.0000 → 2.0200" in picture
    assert ("\x1b" in picture) is colour
    if not colour:
        assert max(len(line) for line in picture.splitlines()) <= 80


@pytest.mark.parametrize(
    ("steps_seen", "expected"),
    [
        ([], []),
        ([7], [7]),
        ([0, 3], [0, 1, 2, 3]),
        ([1, 199], [50, 100, 150]),
        ([0, 16_704], [0, 5000, 10000, 15000]),
    ],
)
def test_ticks_are_round_steps_within_the_curve(steps_seen: list[int], expected: list[int]) -> None:
    assert loss_curve.round_ticks(steps_seen) == expected
