"""Evaluates the chat model on conversations that SFT did not see, and lets it answer a few.

The score is a multiple choice: which of four answers gains most from being asked this question?
What an answer is worth to any question is taken off, or short and common ones would always win.
A model that knows nothing finds a quarter of them.

    python -m container.toy_trainer.chat_eval -i sft -g d4 -x 40
"""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import argparse

import torch

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
from container.toy_trainer.documents import Message
from container.toy_trainer.generation import generate, pieces
from container.toy_trainer.gpt import GPT
from container.toy_trainer.tokens import Tokenizer

CHOICES = 4
SHOWN = 5


def main(argv: list[str] | None = None) -> int:
    """Evaluate a checkpoint and write the report's section."""
    process.StopRequest(at_once=True)
    arguments = _arguments().parse_args(argv)
    process.prepare()
    tokenizer = tokens.load()
    tag = arguments.model_tag or layout.newest_tag(arguments.source)
    folder = layout.checkpoint_dir(arguments.source, tag)
    step = arguments.step or layout.newest_step(folder)
    model = checkpoints.load_model(folder, step)
    held_out = documents.conversations("val")[: arguments.max_problems]
    print(f"Evaluating model: {arguments.source} {tag} (step {step}), {len(held_out)} problems")
    passed = sum(_score(model, tokenizer, held_out))
    accuracy = passed / len(held_out)
    print("=" * 50 + f"\nFinal: {passed}/{len(held_out)} ({100 * accuracy:.2f}%)")
    print(f"Rehearsal accuracy: {100 * accuracy:.2f}%", flush=True)
    bpb = training.bits_per_byte(
        model,
        rows.of_conversations(held_out, tokenizer, length=model.config.sequence_len),
        tokens.load_token_bytes(),
        batch=arguments.batch_size,
        tokens=32 * 1024,
    )
    print(f"Answer bpb: {bpb:.6f}", flush=True)
    facts = {
        "model": tag,
        "step": step,
        "problems": len(held_out),
        "accuracy": f"{100 * accuracy:.1f}% (chance {100 / CHOICES:.0f}%)",
        "answer bpb": round(bpb, 4),
    }
    samples = _answers(model, tokenizer, held_out[:SHOWN], arguments)
    report.section(f"chat-evaluation-{arguments.source}", facts, samples=samples)
    return 0


def _score(model: GPT, tokenizer: Tokenizer, held_out: list[list[Message]]) -> list[bool]:
    plain = Message(role="user", content="What?")
    unasked = [_answer_nats(model, tokenizer, [plain, answer]) for _, answer, *_ in held_out]
    right: list[bool] = []
    for number, (question, *_) in enumerate(held_out):
        choices = [(number + i) % len(held_out) for i in range(CHOICES)]
        gains = [
            unasked[choice] - _answer_nats(model, tokenizer, [question, held_out[choice][1]])
            for choice in choices
        ]
        right.append(gains[0] == max(gains))
    return right


@torch.no_grad()
def _answer_nats(model: GPT, tokenizer: Tokenizer, conversation: list[Message]) -> float:
    one = rows.of_conversations([conversation], tokenizer, length=model.config.sequence_len)
    return float(model(one.inputs, one.targets, each=True).sum())


def _answers(
    model: GPT, tokenizer: Tokenizer, asked: list[list[Message]], arguments: argparse.Namespace
) -> dict[str, str]:
    answers: dict[str, str] = {}
    for conversation in asked:
        ids = generate(
            model,
            tokenizer,
            tokenizer.prompt(conversation[:1]),
            max_tokens=arguments.max_new_tokens,
            temperature=arguments.temperature,
            top_k=arguments.top_k,
        )
        answer = "".join(pieces(tokenizer, ids))
        print(f"User: {conversation[0]['content']}\nAssistant: {answer}\n", flush=True)
        answers[conversation[0]["content"]] = answer
    return answers


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Evaluate the chat model")
    parser.add_argument("-i", "--source", default="sft", choices=["sft"])
    parser.add_argument("-t", "--temperature", type=float, default=0.6)
    parser.add_argument("-m", "--max-new-tokens", type=int, default=48)
    parser.add_argument("-k", "--top-k", type=int, default=50)
    parser.add_argument("-b", "--batch-size", type=int, default=8)
    parser.add_argument("-g", "--model-tag", default=None)
    parser.add_argument("-s", "--step", type=int, default=None)
    parser.add_argument("-x", "--max-problems", type=int, default=40)
    parser.add_argument("--device-type", default="cpu", choices=["", "cpu"])
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
