"""nanochat-speedrun: the guide's run, with midtraining: 561M parameters, 11.2B tokens, about 4 h.

As upstream's speedrun.sh of January 2026 (d58fcd9), which trains what its guide describes: 20
layers and a vocabulary of 65,536 make 561M parameters, 20 tokens for each of them are 21,400 steps
of 524,288. The final models are `checkpoints/base`, `checkpoints/mid` and `checkpoints/sft` of the
prefix. Upstream says 3h51m for all stages on eight H100, about 2.9 h of it base training; 370
shards are 37 GB, and a full step is 5 GB.

What differs from speedrun.sh, and why: `window_pattern` L, because mid_train does not write the
pattern down, and SFT, evaluations and chat then attend to everything, which a base model of SSSL
never did; 16 rows a device, because 32 ran out of memory for some (upstream #443), and the steps
stay as large; and what `_nanochat.py` says of all recipes. Of the evaluations within SFT none runs
code of the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from container.contract.recipe import Recipe, Setting, Stage
from container.contract.recipe_hours import Timing
from container.recipes import _nanochat
from container.recipes import _nanochat_stages as stages
from container.recipes._nanochat_commits import GUIDES_COMMIT, WITH_MIDTRAINING

_BASE_HOURS: Final = 3.0
_LACKING: Final = ("fp8",)
_SETTINGS: Final = {
    **{
        name: setting
        for name, setting in _nanochat.settings(
            depth=20,
            window_pattern="L",
            target_param_data_ratio=20,  # whole: the older of its commits take no fraction
            total_batch_size=524_288,
            shards=370,
            vocab_size=65_536,
            save_every=1200,  # every 10 minutes
            core_max_per_task=-1,
        ).items()
        if name not in _LACKING
    },
    "mid_iterations": Setting(
        default=-1, minimum=-1, help="steps of midtraining; -1 = one epoch of its conversations"
    ),
    "sft_iterations": Setting(
        default=-1, minimum=-1, help="steps of SFT, 32 conversations each; -1 = one epoch"
    ),
    "sft_rows": Setting(
        default=4, minimum=1, choices=(1, 2, 4), help="conversations of SFT on a device at once"
    ),
}


def _on_gpus(program: str, *names: str) -> tuple[str, ...]:
    return stages.on_gpus(WITH_MIDTRAINING, program, *names)


def _training(name: str, argv: tuple[str, ...], *, section: str) -> Stage:
    return stages.unresumed_stage(
        name, argv, time_limit_s=6 * 3600, section=section, generation=WITH_MIDTRAINING
    )


def _base_loss() -> Stage:
    return Stage(
        name="base_loss",
        argv=_on_gpus("base_loss", "tag", "device_batch_size"),
        cwd=stages.SOURCE,
        env=stages.ENV,
        time_limit_s=3600,
        silence_limit_s=900,
        optional=True,
        uploads=(stages.report_section("base-model-loss.md"),),
    )


STAGES: Final = (
    *stages.data_stages(generation=WITH_MIDTRAINING),
    stages.tokenizer_stage(),
    stages.base_stage(
        _on_gpus(
            "base_train",
            *("depth", "max_seq_len", "window_pattern", "target_param_data_ratio"),
            *("num_iterations", "total_batch_size", "eval_every", "save_every"),
            *("core_metric_every=-1", "sample_every=-1"),
            *("tag", "device_batch_size", "wandb_run"),
        ),
        time_limit_s=_BASE_HOURS * 3600 * 10,  # as in `_nanochat.gpu_stages`
        first_step_limit_s=1800,
    ),
    _base_loss(),
    stages.base_eval_stage(_on_gpus("base_eval", "tag", "core_max_per_task")),
    _training(
        "mid",
        _on_gpus(
            "mid_train",
            *("mid_iterations", "max_seq_len", "total_batch_size"),
            *("tag", "device_batch_size", "wandb_run"),
        ),
        section="midtraining.md",
    ),
    stages.chat_eval_stage(
        _on_gpus("chat_eval", "source=mid", "tag", "eval_problems"), name="mid_eval", source="mid"
    ),
    _training(
        "sft",
        _on_gpus("chat_sft", "source=mid", "sft_iterations", "sft_rows", "tag", "wandb_run"),
        section="chat-sft.md",
    ),
    stages.chat_eval_stage(_on_gpus("chat_eval", "source=sft", "tag", "eval_problems")),
    stages.report_stage(),
)

RECIPE: Final[Recipe] = replace(
    _nanochat.gpu_recipe(
        depth=20, hours=4.0, base_hours=_BASE_HOURS, device_batch_size=16, disk_gb=80
    ),
    name="nanochat-speedrun",
    # 32 conversations a step of SFT; a parameter is also one of the embedding.
    timing=Timing(base_hours=_BASE_HOURS, vocabularies=2, sft_batch_tokens=32 * 2048),
    title="nanochat, the guide's run with midtraining, on 8 x H100",
    stages=STAGES,
    settings=_SETTINGS,
    nanochat_commit=GUIDES_COMMIT,
    nanochat=WITH_MIDTRAINING,
)
