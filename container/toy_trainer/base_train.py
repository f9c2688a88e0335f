"""Pretrains the base model; flags as at nanochat 92d63d4, smaller defaults.

python -m container.toy_trainer.base_train --depth=4 --num-iterations=400 --save-every=50
"""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import argparse

from container.toy_trainer import (
    documents,
    layout,
    loglines,
    process,
    report,
    rows,
    tokens,
    training,
)
from container.toy_trainer.gpt import GPT, GPTConfig


def main(argv: list[str] | None = None) -> int:
    """Train, or go on from --resume-from-step; exit code 143 when SIGTERM stopped it."""
    stop = process.StopRequest()
    parser = _arguments()
    arguments = parser.parse_args(argv)
    threads = process.prepare()
    tokenizer = tokens.load()
    files = documents.shard_files("train")
    length = arguments.max_seq_len
    train_rows = rows.of_texts(files, tokenizer, length=length)
    val_rows = rows.of_texts(documents.shard_files("val"), tokenizer, length=length)
    model = GPT(_config(arguments, tokenizer.vocab_size))
    _tell(model, train_rows, threads)
    adam = training.optimizer(
        model,
        matrix=arguments.matrix_lr,
        embedding=arguments.embedding_lr,
        head=arguments.unembedding_lr,
        decay=arguments.weight_decay,
    )
    plan = training.Plan(
        folder=layout.checkpoint_dir("base", arguments.model_tag or f"d{arguments.depth}"),
        total_steps=arguments.num_iterations,
        device_batch_size=arguments.device_batch_size,
        accumulation=training.accumulation(
            arguments.total_batch_size, arguments.device_batch_size * length
        ),
        warmup_steps=arguments.warmup_steps,
        warmdown_ratio=arguments.warmdown_ratio,
        init_lr_frac=1.0,
        final_lr_frac=arguments.final_lr_frac,
        eval_every=arguments.eval_every,
        eval_tokens=arguments.eval_tokens,
        save_every=arguments.save_every,
        data_sha256=documents.fingerprint(files),
        user_config=vars(arguments),
        line=loglines.base_step,
    )
    code, progress = training.train(
        plan,
        model=model,
        adam=adam,
        rows=train_rows,
        val_rows=val_rows,
        token_bytes=tokens.load_token_bytes(),
        stop=stop,
        resume_from=arguments.resume_from_step,
    )
    if code == 0:
        report.section("base-model-training", training.facts(plan, progress, model))
    return code


def _config(arguments: argparse.Namespace, vocab_size: int) -> GPTConfig:
    width = arguments.depth * arguments.aspect_ratio
    if width % arguments.head_dim or arguments.head_dim % 2:
        raise SystemExit(
            f"--depth {arguments.depth} x --aspect-ratio {arguments.aspect_ratio} = {width} must "
            f"be a multiple of --head-dim {arguments.head_dim}, and that must be even"
        )
    return GPTConfig(
        sequence_len=arguments.max_seq_len,
        vocab_size=vocab_size,
        n_layer=arguments.depth,
        n_head=width // arguments.head_dim,
        n_embd=width,
    )


def _tell(model: GPT, train_rows: rows.Rows, threads: int) -> None:
    parameters = sum(p.numel() for p in model.parameters())
    print(f"Autodetected device type: cpu, {threads} threads")
    print(f"Number of parameters: {parameters:,}")
    print(f"Training text: {train_rows.inputs.numel():,} tokens in {len(train_rows):,} rows")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Pretrain the base model")
    parser.add_argument("--run", default="dummy", help="taken for nanochat's sake, unused")
    parser.add_argument("--device-type", default="cpu", choices=["", "cpu"])
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--aspect-ratio", type=int, default=32, help="width = depth x this")
    parser.add_argument("--head-dim", type=int, default=32)
    parser.add_argument("--max-seq-len", type=int, default=128)
    parser.add_argument("--num-iterations", type=int, default=400)
    parser.add_argument("--device-batch-size", type=int, default=16)
    parser.add_argument("--total-batch-size", type=int, default=-1, help="tokens; -1 = one batch")
    parser.add_argument("--embedding-lr", type=float, default=0.2)
    parser.add_argument("--unembedding-lr", type=float, default=0.02)
    parser.add_argument("--matrix-lr", type=float, default=0.004)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--warmup-steps", type=int, default=10)
    parser.add_argument("--warmdown-ratio", type=float, default=0.65)
    parser.add_argument("--final-lr-frac", type=float, default=0.05)
    parser.add_argument("--resume-from-step", type=int, default=-1)
    parser.add_argument("--eval-every", type=int, default=100)
    parser.add_argument("--eval-tokens", type=int, default=16 * 1024)
    parser.add_argument("--save-every", type=int, default=-1)
    parser.add_argument("--model-tag", default=None)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
