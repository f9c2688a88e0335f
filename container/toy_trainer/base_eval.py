"""Evaluates the base model: bits per byte on both splits, and samples.

python -m container.toy_trainer.base_eval --eval=bpb,sample --model-tag=d4
"""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import argparse

from container.toy_trainer import (
    checkpoints,
    documents,
    layout,
    process,
    report,
    rows,
    tokens,
    training,
)
from container.toy_trainer.generation import generate, pieces
from container.toy_trainer.gpt import GPT
from container.toy_trainer.tokens import Tokenizer

PROMPTS = (
    "The license",
    "Return the",
    "If the argument is",
    "This method",
    "A class that",
)


def main(argv: list[str] | None = None) -> int:
    """Evaluate a checkpoint and write the report's section."""
    process.StopRequest(at_once=True)
    arguments = _arguments().parse_args(argv)
    process.prepare()
    modes = set(arguments.eval.split(","))
    tokenizer = tokens.load()
    tag = arguments.model_tag or layout.newest_tag("base")
    folder = layout.checkpoint_dir("base", tag)
    step = arguments.step or layout.newest_step(folder)
    model = checkpoints.load_model(folder, step)
    print(f"Evaluating model: base_model (step {step})")
    print(f"Eval modes: {', '.join(sorted(modes))}")
    facts: dict[str, object] = {"model": tag, "step": step}
    samples = _samples(model, tokenizer) if "sample" in modes else {}
    if "bpb" in modes:
        facts |= _bpb(model, tokenizer, arguments)
    report.section("base-model-evaluation", facts, samples=samples)
    return 0


def _bpb(model: GPT, tokenizer: Tokenizer, arguments: argparse.Namespace) -> dict[str, object]:
    print("\n" + "=" * 80 + "\nBPB Evaluation\n" + "=" * 80)
    facts: dict[str, object] = {}
    for split in ("train", "val"):
        files = documents.shard_files(split)[:1]
        split_rows = rows.of_texts(files, tokenizer, length=model.config.sequence_len)
        bpb = training.bits_per_byte(
            model,
            split_rows,
            tokens.load_token_bytes(),
            batch=arguments.device_batch_size,
            tokens=arguments.split_tokens,
        )
        print(f"{split} bpb: {bpb:.6f}", flush=True)
        facts[f"{split} bpb"] = round(bpb, 4)
    return facts


def _samples(model: GPT, tokenizer: Tokenizer) -> dict[str, str]:
    print("\n" + "=" * 80 + "\nModel Samples\n" + "=" * 80)
    samples: dict[str, str] = {}
    for prompt in PROMPTS:
        ids = [tokenizer.bos, *tokenizer.encode(prompt)]
        said = prompt + "".join(pieces(tokenizer, generate(model, tokenizer, ids, max_tokens=48)))
        print("-" * 80 + f"\n{said}", flush=True)
        samples[prompt] = said
    ids = generate(model, tokenizer, [tokenizer.bos], max_tokens=96, seed=7)
    samples["(unconditioned)"] = "".join(pieces(tokenizer, ids))
    print("\nUnconditioned samples:\n" + "-" * 80 + "\n" + samples["(unconditioned)"], flush=True)
    return samples


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Evaluate the base model")
    parser.add_argument("--eval", default="bpb,sample", help="of bpb, sample; no core here")
    parser.add_argument("--model-tag", default=None)
    parser.add_argument("--step", type=int, default=None)
    parser.add_argument("--device-batch-size", type=int, default=16)
    parser.add_argument("--split-tokens", type=int, default=32 * 1024)
    parser.add_argument("--device-type", default="cpu", choices=["", "cpu"])
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
