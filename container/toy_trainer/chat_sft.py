"""Teaches the base model to answer: loss on the assistant's tokens only.

Flags as at nanochat 92d63d4, smaller defaults, and two that it lacks: --save-every and
--resume-from-step. The last step is saved as step N; nanochat calls it N-1.

    python -m container.toy_trainer.chat_sft --model-tag=d4 --num-iterations=100
"""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import argparse

from container.toy_trainer import (
    checkpoints,
    documents,
    layout,
    loglines,
    process,
    report,
    rows,
    tokens,
    training,
)


def main(argv: list[str] | None = None) -> int:
    """Train on the base model of --model-step; exit code 143 when SIGTERM stopped it."""
    stop = process.StopRequest()
    arguments = _arguments().parse_args(argv)
    process.prepare()
    tokenizer = tokens.load()
    tag = arguments.model_tag or layout.newest_tag("base")
    base = layout.checkpoint_dir("base", tag)
    model = checkpoints.load_model(base, arguments.model_step or layout.newest_step(base)).train()
    length = model.config.sequence_len
    train_rows = rows.of_conversations(documents.conversations("train"), tokenizer, length=length)
    val_rows = rows.of_conversations(documents.conversations("val"), tokenizer, length=length)
    print(f"Training mixture: {len(train_rows):,} rows of {length} tokens", flush=True)
    adam = training.optimizer(
        model,
        matrix=arguments.matrix_lr,
        embedding=arguments.embedding_lr,
        head=arguments.unembedding_lr,
        decay=0.0,
    )
    plan = training.Plan(
        folder=layout.checkpoint_dir("sft", tag),
        total_steps=arguments.num_iterations,
        device_batch_size=arguments.device_batch_size,
        accumulation=training.accumulation(
            arguments.total_batch_size, arguments.device_batch_size * length
        ),
        warmup_steps=round(arguments.warmup_ratio * arguments.num_iterations),
        warmdown_ratio=arguments.warmdown_ratio,
        init_lr_frac=arguments.init_lr_frac,
        final_lr_frac=arguments.final_lr_frac,
        eval_every=arguments.eval_every,
        eval_tokens=arguments.eval_tokens,
        save_every=arguments.save_every,
        data_sha256=documents.fingerprint([layout.conversations_file()]),
        user_config=vars(arguments),
        line=loglines.sft_step,
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
        report.section("chat-sft", training.facts(plan, progress, model))
    return code


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Supervised finetuning of the base model")
    parser.add_argument("--run", default="dummy", help="taken for nanochat's sake, unused")
    parser.add_argument("--device-type", default="cpu", choices=["", "cpu"])
    parser.add_argument("--model-tag", default=None)
    parser.add_argument("--model-step", type=int, default=None)
    parser.add_argument("--num-iterations", type=int, default=100)
    parser.add_argument("--device-batch-size", type=int, default=16)
    parser.add_argument("--total-batch-size", type=int, default=-1, help="tokens; -1 = one batch")
    parser.add_argument("--embedding-lr", type=float, default=0.2)
    parser.add_argument("--unembedding-lr", type=float, default=0.02)
    parser.add_argument("--matrix-lr", type=float, default=0.004)
    parser.add_argument("--init-lr-frac", type=float, default=0.3)
    parser.add_argument("--warmup-ratio", type=float, default=0.0)
    parser.add_argument("--warmdown-ratio", type=float, default=0.5)
    parser.add_argument("--final-lr-frac", type=float, default=0.0)
    parser.add_argument("--resume-from-step", type=int, default=-1)
    parser.add_argument("--eval-every", type=int, default=50)
    parser.add_argument("--eval-tokens", type=int, default=16 * 1024)
    parser.add_argument("--save-every", type=int, default=-1)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
