"""How nanochat's programs spell what the recipes set: one table a generation of it, no stages.

When nanochat renames a flag, it is changed here and nowhere else. When a recipe's commit moves, or
one is added to `_nanochat_commits.py`, compare the table with the `add_argument` lines of each
program; the tests hold copies of those (tests/container/nanochat_parsers.py) and run every recipe's
command lines against them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Flags = Mapping[str, Mapping[str, str]]

# By program, then by the name of a setting or of a placeholder (see container/contract/recipe.py),
# or by nanochat's own name where no recipe has a setting for it. `{}` is where the value goes.
_TOK_TRAIN: Final = {
    "tokenizer_chars": "--max-chars={}",
    "vocab_size": "--vocab-size={}",
}
_BASE_TRAIN: Final = {
    "depth": "--depth={}",
    "head_dim": "--head-dim={}",
    "max_seq_len": "--max-seq-len={}",
    "window_pattern": "--window-pattern={}",
    "target_param_data_ratio": "--target-param-data-ratio={}",
    "num_iterations": "--num-iterations={}",
    "device_batch_size": "--device-batch-size={}",
    "total_batch_size": "--total-batch-size={}",
    "device_type": "--device-type={}",
    "eval_every": "--eval-every={}",
    "eval_tokens": "--eval-tokens={}",
    "save_every": "--save-every={}",
    "core_metric_every": "--core-metric-every={}",
    "sample_every": "--sample-every={}",
    "tag": "--model-tag={}",
    "wandb_run": "--run={}",
    "resume_step": "--resume-from-step={}",
}
_CHAT_EVAL: Final = {
    "source": "-i {}",
    "tag": "-g {}",
    "eval_problems": "-x {}",
    "max_new_tokens": "-m {}",
    "device_type": "--device-type={}",
}
_CHAT_WEB: Final = {
    "source": "-i {}",
    "tag": "-g {}",
    "host": "--host {}",
    "port": "-p {}",
}

WITH_MIDTRAINING: Final[Flags] = {
    "tok_train": _TOK_TRAIN,
    "base_train": _BASE_TRAIN,
    "base_loss": {
        "device_batch_size": "--device-batch-size={}",
        "tag": "--model-tag={}",
    },
    "base_eval": {
        "core_max_per_task": "--max-per-task={}",
        "tag": "--model-tag={}",
    },
    "mid_train": {
        "mid_iterations": "--num-iterations={}",
        "max_seq_len": "--max-seq-len={}",
        "device_batch_size": "--device-batch-size={}",
        "total_batch_size": "--total-batch-size={}",
        "tag": "--model-tag={}",
        "wandb_run": "--run={}",
    },
    "chat_sft": {
        "source": "--source={}",
        "sft_iterations": "--num-iterations={}",
        "sft_rows": "--device-batch-size={}",
        "tag": "--model-tag={}",
        "wandb_run": "--run={}",
    },
    "chat_eval": _CHAT_EVAL,
    "chat_web": _CHAT_WEB,
}

TODAY: Final[Flags] = {
    "tok_train": _TOK_TRAIN,
    "base_train": {**_BASE_TRAIN, "fp8": "{:--fp8}"},
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
    "chat_eval": _CHAT_EVAL,
    "chat_web": _CHAT_WEB,
}


def arguments(flags: Flags, program: str, *names: str) -> tuple[str, ...]:
    """Return a program's arguments, as templates, in the order of the names that it takes.

    `depth` is filled with the setting of that name when the stage starts; `device_type=cpu` says
    the value itself, which may be a template too. Raises KeyError for what the table lacks.
    """
    return tuple(argument for name in names for argument in _argument(flags[program], name))


def _argument(flags: Mapping[str, str], name: str) -> list[str]:
    known, fixed, value = name.partition("=")
    flag = flags[known]
    filled = flag.replace("{}", value) if fixed else flag.replace("{", "{" + known, 1)
    return filled.split(" ")
