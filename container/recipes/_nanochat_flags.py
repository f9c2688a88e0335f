"""How each of nanochat's programs spells what the recipes set: one table a commit, no stages.

When nanochat renames a flag, it is changed here and nowhere else. When `PINNED_COMMIT` moves,
compare the table with the `add_argument` lines of each program; the tests hold copies of those
(tests/container/standin_nanochat.py) and run every recipe's command lines against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PINNED_COMMIT: Final = "dc54a1a3077cab11d68fac4c5d1cd5c51f5d8c7a"

# By program, then by the name of a setting or of a placeholder (see container/contract/recipe.py),
# or by nanochat's own name where no recipe has a setting for it. `{}` is where the value goes.
FLAGS: Final[Mapping[str, Mapping[str, str]]] = {
    "tok_train": {
        "tokenizer_chars": "--max-chars={}",
        "vocab_size": "--vocab-size={}",
    },
    "base_train": {
        "depth": "--depth={}",
        "head_dim": "--head-dim={}",
        "max_seq_len": "--max-seq-len={}",
        "window_pattern": "--window-pattern={}",
        "target_param_data_ratio": "--target-param-data-ratio={}",
        "num_iterations": "--num-iterations={}",
        "device_batch_size": "--device-batch-size={}",
        "total_batch_size": "--total-batch-size={}",
        "fp8": "{:--fp8}",
        "device_type": "--device-type={}",
        "eval_every": "--eval-every={}",
        "eval_tokens": "--eval-tokens={}",
        "save_every": "--save-every={}",
        "core_metric_every": "--core-metric-every={}",
        "sample_every": "--sample-every={}",
        "tag": "--model-tag={}",
        "wandb_run": "--run={}",
        "resume_step": "--resume-from-step={}",
    },
    "base_eval": {
        "eval": "--eval={}",
        "core_max_per_task": "--max-per-task={}",
        "eval_tokens": "--split-tokens={}",
        "device_batch_size": "--device-batch-size={}",
        "device_type": "--device-type={}",
        "tag": "--model-tag={}",
    },
    "chat_sft": {
        "sft_iterations": "--num-iterations={}",
        "max_seq_len": "--max-seq-len={}",
        "device_batch_size": "--device-batch-size={}",
        "total_batch_size": "--total-batch-size={}",
        "device_type": "--device-type={}",
        "eval_every": "--eval-every={}",
        "eval_tokens": "--eval-tokens={}",
        "chatcore_every": "--chatcore-every={}",
        "tag": "--model-tag={}",
        "wandb_run": "--run={}",
    },
    "chat_eval": {
        "source": "-i {}",
        "tag": "-g {}",
        "eval_problems": "-x {}",
        "max_new_tokens": "-m {}",
        "device_type": "--device-type={}",
    },
    "chat_web": {
        "source": "-i {}",
        "tag": "-g {}",
        "host": "--host {}",
        "port": "-p {}",
    },
}


def arguments(program: str, *names: str) -> tuple[str, ...]:
    """Return a program's arguments, as templates, in the order of the names that it takes.

    `depth` is filled with the setting of that name when the stage starts; `device_type=cpu` says
    the value itself, which may be a template too. Raises KeyError for what the table lacks.
    """
    return tuple(argument for name in names for argument in _argument(program, name))


def _argument(program: str, name: str) -> list[str]:
    known, fixed, value = name.partition("=")
    flag = FLAGS[program][known]
    filled = flag.replace("{}", value) if fixed else flag.replace("{", "{" + known, 1)
    return filled.split(" ")
