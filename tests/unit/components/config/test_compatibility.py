"""Keys that are good by themselves and do not work together; told before anything is rented."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from components.config.settings import SettingsError, load_settings
from tests.unit.components.config.test_settings import DEV, PAID_ENV, ROOT, load, problems

PAID: dict[str, Any] = {
    **DEV,
    "cloud": "io.net",
    "recipe": "nanochat-d20",
    "gpuType": "H100",
    "gpusPerContainer": 8,
    "durationHours": 5,
}
A100 = {"gpuType": "A100", "durationHours": 24}
FOR_A100 = {"fp8": False, "window_pattern": "L"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gpuType": "CPU"}, 'gpuType = "CPU": nanochat-d20 needs GPUs, such as H100'),
        ({"recipe": "nanochat-cpu"}, 'gpuType = "H100": nanochat-cpu trains on the processor'),
        ({"recipe": "rehearsal"}, 'gpuType = "H100": rehearsal trains on the processor'),
        ({"gpusPerContainer": 6, "durationHours": 24}, "gpusPerContainer = 6: must be 1, 2, 4"),
        ({"deviceBatchSize": 12}, "deviceBatchSize = 12: must be a power of two"),
        (
            {"recipeSettings": {"total_batch_size": 500_000}},
            "deviceBatchSize = 16: 16 rows x 2048 tokens x 8 devices do not divide a step of",
        ),
        ({"recipe": "nanochat-d32"}, "durationHours = 5: nanochat-d32 takes about 10.0 h"),
        (
            {"recipe": "nanochat-d32", "recipeSettings": {"save_every": 400}},
            "nanochat-d32 takes about 10.0 h",
        ),
        ({"gpusPerContainer": 1}, "nanochat-d20 takes about 14.4 h on 1 x H100"),
        (
            {"gpuType": "H100 PCIe", "durationHours": 2},
            "durationHours = 2: nanochat-d20 takes about 2.9 h on 8 x H100 PCIe",
        ),
        (
            {"gpuType": "A100", "recipeSettings": FOR_A100},
            "nanochat-d20 takes about 5.7 h on 8 x A100",
        ),
        (A100, 'set recipeSettings {"fp8": false, "window_pattern": "L"} too'),
        ({**A100, "gpuType": "NVIDIA A100-SXM4-80GB"}, '{"fp8": false, "window_pattern": "L"}'),
        ({**A100, "recipeSettings": {"fp8": False}}, 'set recipeSettings {"window_pattern": "L"}'),
        (
            {**A100, "recipeSettings": {"fp8": False}, "nanochatCommit": "dc54a1a"},
            'set recipeSettings {"window_pattern": "L"}',
        ),
        (
            {**A100, "recipeSettings": {"fp8": False}, "nanochatCommit": "dbe6e2a"},
            'set recipeSettings {"window_pattern": "L"}',
        ),
        (
            {
                **A100,
                "recipe": "nanochat-speedrun",
                "recipeSettings": {"window_pattern": "SSSL"},
            },
            'set recipeSettings {"window_pattern": "L"}',
        ),
        ({"recipe": "nanochat-speedrun", "durationHours": 3}, "takes about 4.0 h on 8 x H100"),
        (
            {"recipe": "nanochat-speedrun", "recipeSettings": {"fp8": True}},
            "nanochat-speedrun: fp8: unknown setting",
        ),
        (
            {"recipe": "nanochat-speedrun", "deviceBatchSize": 64},
            "64 rows x 2048 tokens x 8 devices do not divide a step of 524288",
        ),
        ({"gpuType": "B200"}, 'set recipeSettings {"window_pattern": "L"} too'),
        ({"recipeSettings": {"max_seq_len": 512}}, "max_seq_len: 512 must be at least 2048"),
        (
            {"buildArgs": {"TORCH_INDEX": "https://user:planted@mirror/whl"}},
            "trainstack:buildArgs",
        ),
        ({"buildArgs": {"OTHER": "https://mirror"}}, "trainstack:buildArgs"),
    ],
)
def test_what_would_fail_on_the_paid_machine_is_told_before(
    changes: dict[str, Any], told: str
) -> None:
    text = problems(PAID_ENV, **{**PAID, **changes})
    assert told in text
    assert "1 problem " in text


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gpusPerContainer": 4},
        {"gpusPerContainer": 1, "durationHours": 24},
        {"deviceBatchSize": 8},
        {**A100, "recipeSettings": FOR_A100},
        {**A100, "recipeSettings": {"fp8": False}, "nanochatCommit": "92d63d4"},
        {"gpuType": "H200"},
        {**A100, "recipeSettings": {"fp8": False}, "nanochatCommit": "2fc63c9"},
        {**A100, "recipe": "nanochat-speedrun"},
        {"recipe": "nanochat-speedrun"},
        {"recipe": "nanochat-speedrun", "nanochatCommit": "348fbb3"},
        {"gpuType": "H100 SXM", "durationHours": 2},
        {"gpuType": "H100 PCIe", "durationHours": 3},
        {"gpuType": "a GPU of tomorrow"},
        {"recipe": "nanochat-d32", "recipeSettings": {"num_iterations": 100}},
        {"recipe": "nanochat-cpu", "gpuType": "CPU", "gpusPerContainer": 1},
        {"recipe": "rehearsal", "gpuType": "cpu", "gpusPerContainer": 1, "deviceBatchSize": 4},
        {"buildArgs": {"TORCH_INDEX": "https://mirror.example/whl"}},
    ],
    ids=str,
)
def test_what_works_is_taken(changes: dict[str, Any]) -> None:
    assert load(PAID_ENV, **{**PAID, **changes}).runs


def test_mirrors_reach_the_build() -> None:
    mirror = "https://mirror.example/nanochat"
    settings = load(PAID_ENV, **{**PAID, "buildArgs": {"NANOCHAT_SOURCE": mirror}})
    assert settings.image.build_args["NANOCHAT_SOURCE"] == mirror


def test_the_sweep_in_the_stack_to_copy_works_when_it_is_uncommented() -> None:
    text = (ROOT / "Pulumi.speedrun.yaml").read_text()
    start = text.index("  # trainstack:runs:")
    text = text[:start] + text[start:].replace("  # ", "  ")
    config = yaml.safe_load(text)["config"]
    values = {key.removeprefix("trainstack:"): value for key, value in config.items()}
    values |= {"cloudflareAccountId": "a" * 32}
    try:
        assert len(load(PAID_ENV, **values).runs) > 1
    except SettingsError as error:
        pytest.fail(str(error))


def test_every_problem_names_the_run_of_a_sweep() -> None:
    with pytest.raises(SettingsError, match=r"trainstack:runs\.odd\.gpusPerContainer = 3"):
        load_settings(
            {
                **{f"trainstack:{key}": str(value) for key, value in PAID.items()},
                "trainstack:runs": '{"odd": {"gpusPerContainer": 3}, "even": {}}',
            },
            secret_keys=frozenset(),
            env=PAID_ENV,
            project="trainstack",
            stack="dev",
        )
