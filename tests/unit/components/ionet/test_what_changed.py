"""What changed, in the words of the config."""

from __future__ import annotations

from typing import Any

import pytest

from components.ionet.change import decide
from components.ionet.properties import UNKNOWN
from components.ionet.what_changed import changed

ENV = {
    "RECIPE": "nanochat-d20",
    "RECIPE_SETTINGS": '{"depth": 20}',
    "KEEP_ALIVE": "false",
    "WANDB_RUN": "dummy",
}
OLD: dict[str, Any] = {
    "env": ENV,
    "r2Prefix": "p",
    "durationHours": 3,
    "renew": 1,
    "accessKeyId": "planted",
    "secretAccessKey": "planted",
    "wandbApiKey": "planted",
    "image": "i",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"env": {**ENV, "RECIPE_SETTINGS": '{"depth": 24}'}}, "depth 20 -> 24"),
        ({"env": {**ENV, "RECIPE_SETTINGS": "{}"}}, "depth 20 -> the recipe's"),
        (
            {"env": {**ENV, "RECIPE_SETTINGS": '{"depth": 20, "lr": 0.5}', "RECIPE": "other"}},
            "recipe nanochat-d20 -> other, lr the recipe's -> 0.5",
        ),
        ({"env": {**ENV, "KEEP_ALIVE": "true"}}, "keepAlive false -> true"),
        ({"env": {**ENV, "DEVICE_BATCH_SIZE": "4"}}, "deviceBatchSize not set -> 4"),
        ({"renew": 2, "accessKeyId": "planted-b"}, "renew 1 -> 2"),
        ({"secretAccessKey": "planted-b"}, "the run's token"),
        ({"secretAccessKey": UNKNOWN}, "the run's token"),
        ({"wandbApiKey": "planted-b"}, "wandbApiKey"),
        ({"r2Prefix": "q"}, "what the recipe trains"),
    ],
)
def test_a_change_is_told_by_the_keys_of_the_config(change: dict[str, Any], words: str) -> None:
    new = {**OLD, **change}
    assert changed(OLD, new, decide(OLD, new)) == words
