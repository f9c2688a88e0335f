"""The known word that an unknown one was meant to be."""

from __future__ import annotations

import pytest

from container.contract.nearest import hint, nearest

KEYS = ("gpuType", "gpusPerContainer", "durationHours", "maxCostUsd", "recipe", "recipeSettings")
GPUS = ("NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "GeForce RTX 4090")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("gpu_type", KEYS, "gpuType"),
        ("GPUTYPE", KEYS, "gpuType"),
        ("hours", KEYS, "durationHours"),
        ("max-cost", KEYS, "maxCostUsd"),
        ("recipee", KEYS, "recipe"),
        ("H10O", GPUS, "NVIDIA H100 80GB HBM3"),
        ("RTX4090", GPUS, "GeForce RTX 4090"),
        ("A-100", GPUS, "NVIDIA A100-SXM4-80GB"),
        ("x", (), ""),
    ],
)
def test_case_hyphens_and_typos_lead_to_the_word_that_was_meant(
    word: str, known: tuple[str, ...], meant: str
) -> None:
    assert nearest(word, known) == meant


def test_what_is_not_near_is_not_said_to_be_meant() -> None:
    assert hint("hours", KEYS) == "; did you mean durationHours?"
    assert hint("zzz", ("recipe",)) == "; the nearest known is recipe"
    assert hint("zzz", ("recipe",), all_told=True) == ""
    assert hint("zzz", ()) == ""
