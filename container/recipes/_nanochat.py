"""What all nanochat recipes share: the pinned commit, the settings, the recipe for GPUs.

Pinned to dc54a1a (2026-05-05): the newest commit that still has the report, the chat UI and the
identity conversations; its trainers take the same flags as 92d63d4 (2026-07-03), which
`nanochatCommit` can name instead (the chat page and a short report are ours then).

What a recipe does not use, and why: `tok_eval` (downloads vocabularies, informs only), CORE inside
base training (a failing or hanging evaluation before the last save loses the model: upstream #446),
ChatCORE inside SFT (it runs code that the model wrote, beside the W&B key), `--save-every=-1` (one
save at the very end).
"""

from __future__ import annotations

from container.contract.recipe import Recipe, Setting, SettingValue, Stage
from container.contract.recipe_hours import Timing
from container.recipes import _nanochat_stages as stages
from container.recipes._nanochat_commits import PINNED_COMMIT, TODAY


def settings(**given: SettingValue) -> dict[str, Setting]:
    """Return the settings of a nanochat recipe, with its own defaults."""
    known: dict[str, Setting] = {
        "depth": Setting(default=20, minimum=1, help="layers; the width is 64 times as much"),
        # With shorter rows nanochat's SFT turns to NaN, after base training: upstream #590.
        "max_seq_len": Setting(
            default=2048, minimum=2048, help="tokens that the model sees at once"
        ),
        "window_pattern": Setting(
            default="SSSL", help="attention windows by layer; L without Flash Attention 3"
        ),
        "target_param_data_ratio": Setting(
            default=8.0, minimum=0.0, help="tokens per parameter: the length of base training"
        ),
        "num_iterations": Setting(
            default=-1, minimum=-1, help="steps of base training; -1 = from the ratio"
        ),
        "total_batch_size": Setting(
            default=-1, minimum=-1, help="tokens a step; -1 = what nanochat computes"
        ),
        "fp8": Setting(default=True, help="8-bit matrix products; H100-class GPUs only"),
        "shards": Setting(default=170, minimum=8, help="train shards, about 100 MB each"),
        "vocab_size": Setting(default=32768, minimum=265, help="tokens that the tokenizer knows"),
        "tokenizer_chars": Setting(
            default=2_000_000_000, minimum=1, help="characters that the tokenizer is trained on"
        ),
        "save_every": Setting(
            default=500, minimum=1, help="base steps from checkpoint to checkpoint"
        ),
        "eval_every": Setting(
            default=500, minimum=-1, help="base steps from evaluation to evaluation"
        ),
        "core_max_per_task": Setting(
            default=500, minimum=-1, help="CORE examples a task after training; -1 = all"
        ),
        "sft_iterations": Setting(
            default=-1,
            minimum=-1,
            help="batches of SFT on each device, of which a step may take several; -1 = one epoch",
        ),
        "eval_problems": Setting(
            default=100_000,
            minimum=1,
            help="at most so many problems a task of the chat evaluation",
        ),
    }
    for name, value in given.items():
        known[name] = Setting(default=value, minimum=known[name].minimum, help=known[name].help)
    return known


def gpu_recipe(
    *,
    depth: int,
    hours: float,
    base_hours: float,
    device_batch_size: int,
    disk_gb: int,
    **given: SettingValue,
) -> Recipe:
    """Return a recipe for eight H100 SXM; hours and sizes are explained where they are chosen."""
    return Recipe(
        name=f"nanochat-d{depth}",
        title=f"nanochat, {depth} layers, on 8 x H100 SXM",
        tag="d{depth}",
        stages=gpu_stages(base_hours=base_hours),
        settings=settings(depth=depth, **given),
        expected_hours=hours,
        timing=Timing(base_hours=base_hours, sft_batch_tokens=device_batch_size * 2048 * 8),
        disk_bytes=disk_gb * 10**9,
        device_batch_size=device_batch_size,
        gpu_type="H100 SXM",
        gpus=8,
        min_gpu_memory_bytes=75 * 10**9,
        # Docker's default is 64 MiB, and what io.net gives is not known: NCCL needs little beside
        # NVLink, and nanochat's loader has no worker processes. More must not be asked for.
        min_shm_bytes=60 << 20,
        nanochat_commit=PINNED_COMMIT,
        nanochat=TODAY,
        chat=stages.CHAT,
        all_reduce=stages.all_reduce_stage(ranks="{world_size}"),
    )


def gpu_stages(*, base_hours: float) -> tuple[Stage, ...]:
    """Return the stages on GPUs; `base_hours` is what base training takes on eight H100."""
    shared = ("tag", "device_batch_size", "wandb_run")
    return (
        *stages.data_stages(fp8=True),
        stages.tokenizer_stage(),
        stages.base_stage(
            stages.on_gpus(
                TODAY,
                "base_train",
                "depth",
                "max_seq_len",
                "window_pattern",
                "target_param_data_ratio",
                "num_iterations",
                "total_batch_size",
                "fp8",
                "eval_every",
                "save_every",
                "core_metric_every=-1",
                "sample_every=-1",
                *shared,
            ),
            # One GPU takes eight times as long; the ordered hours are the limit that counts.
            time_limit_s=base_hours * 3600 * 10,
            first_step_limit_s=1800,  # shards are listed, the model is compiled
        ),
        stages.base_eval_stage(
            stages.on_gpus(
                TODAY,
                "base_eval",
                "tag",
                "device_batch_size",
                "eval=core,bpb,sample",
                "core_max_per_task",
            )
        ),
        stages.sft_stage(
            stages.on_gpus(TODAY, "chat_sft", *shared, "sft_iterations", "chatcore_every=-1"),
            time_limit_s=6 * 3600,
        ),
        stages.chat_eval_stage(
            stages.on_gpus(TODAY, "chat_eval", "source=sft", "tag", "eval_problems")
        ),
        stages.report_stage(),
    )
