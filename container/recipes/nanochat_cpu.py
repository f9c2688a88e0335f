"""nanochat-cpu: the real nanochat at the pinned commit on any CPU, tiny, to see its stages work.

The model learns little. The sequence stays at 2048 tokens: with shorter ones nanochat's SFT turns
to NaN on conversations that do not fit into a row (upstream #590). Needs the network as a paid run
does; two shards are 200 MB.
"""

from __future__ import annotations

from typing import Final

from container.contract.recipe import Recipe, Setting
from container.contract.recipe_hours import Timing
from container.recipes import _nanochat
from container.recipes import _nanochat_stages as stages
from container.recipes._nanochat_commits import PINNED_COMMIT, TODAY

_ON_GPUS_ONLY: Final = ("fp8", "target_param_data_ratio", "core_max_per_task")
_SHARED: Final = {
    name: setting
    for name, setting in _nanochat.settings(
        depth=4,
        window_pattern="L",
        num_iterations=40,
        total_batch_size=8192,
        vocab_size=4096,
        tokenizer_chars=20_000_000,
        save_every=10,
        eval_every=20,
        sft_iterations=40,
        eval_problems=8,
    ).items()
    if name not in _ON_GPUS_ONLY
}
_SETTINGS: Final = {
    **_SHARED,
    "shards": Setting(default=2, minimum=1, help="train shards, about 100 MB each"),
    "eval_tokens": Setting(default=16384, minimum=1, help="tokens of an evaluation"),
}
_SAME: Final = ("device_type=cpu", "max_seq_len", "eval_every", "eval_tokens", "tag", "wandb_run")
# nanochat's SFT counts rows as iterations: with four rows a step, ten iterations were three steps,
# the last of them at a learning rate below zero.
_ONE_ROW: Final = ("device_batch_size=1", "total_batch_size={max_seq_len}")

RECIPE: Final[Recipe] = Recipe(
    name="nanochat-cpu",
    title="nanochat itself, tiny, on CPU",
    tag="d{depth}",
    expected_hours=0.7,
    timing=Timing(base_hours=0.3, head=64, sft_batch_tokens=2048),
    disk_bytes=10 * 10**9,
    device_batch_size=1,
    nanochat_commit=PINNED_COMMIT,
    nanochat=TODAY,
    settings=_SETTINGS,
    stages=(
        *stages.data_stages(first_shards="{shards}", eval_bundle=False),
        stages.tokenizer_stage(),
        stages.base_stage(
            stages.on_one_process(
                TODAY,
                "base_train",
                "depth",
                "head_dim=64",
                "window_pattern",
                "num_iterations",
                "save_every",
                "core_metric_every=-1",
                "sample_every=-1",
                "device_batch_size",
                "total_batch_size",
                *_SAME,
            ),
            time_limit_s=4 * 3600,
            first_step_limit_s=1800,  # compiling took 61 s for 2 layers on 2 idle cores
        ),
        stages.base_eval_stage(
            stages.on_one_process(
                TODAY,
                "base_eval",
                "eval=bpb,sample",
                "device_type=cpu",
                "device_batch_size",
                "eval_tokens",
                "tag",
            ),
            core=False,
        ),
        stages.sft_stage(
            stages.on_one_process(
                TODAY, "chat_sft", "sft_iterations", "chatcore_every=-1", *_ONE_ROW, *_SAME
            ),
            time_limit_s=4 * 3600,
        ),
        stages.chat_eval_stage(
            stages.on_one_process(
                TODAY,
                "chat_eval",
                "source=sft",
                "tag",
                "eval_problems",
                "max_new_tokens=16",
                "device_type=cpu",
            )
        ),
        stages.report_stage(),
    ),
    chat=stages.CHAT,
    all_reduce=stages.all_reduce_stage(ranks="2"),  # to see that it works; one process trains
)
