"""The rehearsal: a small GPT on the CPU of any machine, in nanochat's stages, in minutes.

Sizes. The defaults are what `make up` trains: about two minutes on two cores. `TEST_SETTINGS` is
the profile of the tests: every stage, its checkpoints and its report, in about 20 seconds.
"""

from __future__ import annotations

from typing import Final

from container.contract.recipe import Chat, Recipe, Setting, SettingValue, Stage, Upload

TEST_SETTINGS: Final[dict[str, SettingValue]] = {
    "depth": 2,
    "vocab_size": 512,
    "shards": 2,
    "num_iterations": 40,
    "save_every": 10,
    "eval_every": 20,
    "sft_iterations": 12,
    "sft_save_every": 6,
    "eval_problems": 8,
}

SETTINGS: Final[dict[str, Setting]] = {
    "depth": Setting(default=4, minimum=1, help="layers; the width is 32 times as much"),
    "max_seq_len": Setting(default=128, minimum=32, help="tokens that the model sees at once"),
    "vocab_size": Setting(default=1024, minimum=265, help="tokens that the tokenizer knows"),
    "shards": Setting(default=-1, minimum=-1, help="train shards to download, -1 = all"),
    "num_iterations": Setting(default=360, minimum=1, help="steps of base training"),
    "save_every": Setting(default=60, minimum=1, help="base steps from checkpoint to checkpoint"),
    "eval_every": Setting(default=60, minimum=1, help="base steps from evaluation to evaluation"),
    "total_batch_size": Setting(default=2048, minimum=1, help="tokens a step"),
    "matrix_lr": Setting(default=0.004, minimum=0.0, help="learning rate of the matrices"),
    "embedding_lr": Setting(default=0.2, minimum=0.0, help="learning rate of the embedding"),
    "unembedding_lr": Setting(default=0.02, minimum=0.0, help="learning rate of the head"),
    "sft_iterations": Setting(default=90, minimum=1, help="steps of supervised finetuning"),
    "sft_save_every": Setting(default=45, minimum=1, help="SFT steps between checkpoints"),
    "eval_problems": Setting(default=40, minimum=4, help="held-out questions of the evaluation"),
    "threads": Setting(default=2, minimum=1, help="processor threads; weights depend on it"),
}

_ENV: Final = {
    "NANOCHAT_BASE_DIR": "{workdir}",
    "OMP_NUM_THREADS": "{threads}",
    # Measured for 30 steps on 2 cores. Idle machine: 6 s so, 11 s with two BLAS threads and with
    # memory given back after each use. Busy machine: 12 s so, 145 s with threads that spin.
    "OMP_WAIT_POLICY": "passive",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "PYTHONUNBUFFERED": "1",
    "DATASET_MIRROR_URL": "{mirror_url}",
}
_LEARNING_RATES: Final = (
    "--matrix-lr={matrix_lr}",
    "--embedding-lr={embedding_lr}",
    "--unembedding-lr={unembedding_lr}",
)
_BATCH: Final = (
    "--device-batch-size={device_batch_size}",
    "--total-batch-size={total_batch_size}",
)


def _program(name: str, *arguments: str) -> tuple[str, ...]:
    return ("{python}", "-m", f"container.toy_trainer.{name}", *arguments)


def _section(name: str) -> Upload:
    return Upload(local=f"report/{name}", key=f"report/{name}", kind="file")


RECIPE: Final = Recipe(
    name="rehearsal",
    title="Rehearsal: a small GPT on CPU, in nanochat's stages",
    tag="d{depth}",
    expected_hours=0.05,
    disk_bytes=500_000_000,
    device_batch_size=16,
    settings=SETTINGS,
    stages=(
        Stage(
            name="data",
            argv=_program("dataset", "-n", "{shards}", "-w", "4"),
            env=_ENV,
            time_limit_s=600,
            retries=2,
            outputs=("base_data/shard_*.jsonl.gz", "conversations.jsonl"),
            only_for=("tokenizer", "base", "base_eval", "sft", "eval"),
        ),
        Stage(
            name="tokenizer",
            argv=_program("tok_train", "--vocab-size={vocab_size}"),
            env=_ENV,
            time_limit_s=600,
            outputs=("tokenizer/tokenizer.pkl", "tokenizer/token_bytes.pt"),
            uploads=(
                Upload(local="tokenizer", key="tokenizer", kind="file"),
                _section("tokenizer-training.md"),
                _section("tokenizer-training.json"),
            ),
        ),
        Stage(
            name="base",
            argv=_program(
                "base_train",
                "--model-tag={tag}",
                "--depth={depth}",
                "--max-seq-len={max_seq_len}",
                "--num-iterations={num_iterations}",
                "--save-every={save_every}",
                "--eval-every={eval_every}",
                *_BATCH,
                *_LEARNING_RATES,
            ),
            resume_argv=("--resume-from-step={resume_step}",),
            env=_ENV,
            time_limit_s=3600,
            first_step_limit_s=120,
            step_limit_s=120,
            progress="nanochat",
            saves_every="{save_every}",
            outputs=("base_checkpoints/{tag}/model_{num_iterations:06d}.pt",),
            uploads=(
                Upload(local="base_checkpoints", key="checkpoints/base", kind="checkpoint"),
                _section("base-model-training.md"),
                _section("base-model-training.json"),
            ),
        ),
        Stage(
            name="base_eval",
            argv=_program(
                "base_eval", "--model-tag={tag}", "--device-batch-size={device_batch_size}"
            ),
            env=_ENV,
            time_limit_s=600,
            outputs=("report/base-model-evaluation.md",),
            uploads=(
                _section("base-model-evaluation.md"),
                _section("base-model-evaluation.json"),
            ),
        ),
        Stage(
            name="sft",
            argv=_program(
                "chat_sft",
                "--model-tag={tag}",
                "--model-step={num_iterations}",
                "--num-iterations={sft_iterations}",
                "--save-every={sft_save_every}",
                *_BATCH,
                *_LEARNING_RATES,
            ),
            resume_argv=("--resume-from-step={resume_step}",),
            env=_ENV,
            time_limit_s=3600,
            first_step_limit_s=120,
            step_limit_s=120,
            progress="nanochat",
            saves_every="{sft_save_every}",
            outputs=("chatsft_checkpoints/{tag}/model_{sft_iterations:06d}.pt",),
            uploads=(
                Upload(local="chatsft_checkpoints", key="checkpoints/sft", kind="checkpoint"),
                _section("chat-sft.md"),
                _section("chat-sft.json"),
            ),
        ),
        Stage(
            name="eval",
            argv=_program("chat_eval", "-i", "sft", "-g", "{tag}", "-x", "{eval_problems}"),
            env=_ENV,
            time_limit_s=600,
            outputs=("report/chat-evaluation-sft.md",),
            uploads=(
                _section("chat-evaluation-sft.md"),
                _section("chat-evaluation-sft.json"),
            ),
        ),
        Stage(
            name="report",
            argv=_program("report", "generate"),
            env=_ENV,
            time_limit_s=60,
            outputs=("report/report.md",),
            uploads=(_section("report.md"),),
        ),
    ),
    all_reduce=Stage(
        name="verify",
        # Two ranks on the processor, as a paid run has eight on GPUs; one process trains.
        argv=_program("two_ranks", "container.nanochat.all_reduce"),
        env=_ENV,
        time_limit_s=180,
        silence_limit_s=60,
    ),
    chat=Chat(
        argv=_program(
            "chat_web", "-i", "sft", "-g", "{tag}", "--host", "127.0.0.1", "-p", "{port}"
        ),
        dialect="openai",
        env=_ENV,
    ),
)
