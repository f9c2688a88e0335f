"""What is said while a run that was told to stop is waited for."""

from __future__ import annotations

from typing import Any

import pytest

from components.ionet.rental.stop import in_words
from tests.runs_builders import status

ASKED = {"stopping": "the save of step 2000"}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {
                **ASKED,
                "next_save_step": 2000,
                "next_save_s": 190.0,
                "checkpoint_files": 3,
                "checkpoint_files_up": 2,
            },
            "next save at step 2000 in 3 min 10 s; 2 of 3 files up",
        ),
        ({**ASKED, "next_save_step": 2000, "next_save_s": 4.0}, "next save at step 2000 in 4 s"),
        (
            {"stopping": "the uploads", "checkpoint_files": 3, "checkpoint_files_up": 1},
            "waits for the uploads; 1 of 3 files up",
        ),
        ({}, "base: no save is known to be due; told to stop, not seen yet"),
    ],
)
def test_the_wait_says_when_the_next_save_is_due_and_how_much_is_up(
    members: dict[str, Any], expected: str
) -> None:
    assert in_words(status(**members)) == expected


def test_a_run_that_has_written_nothing_says_so() -> None:
    assert in_words(None) == "it has written nothing yet"
