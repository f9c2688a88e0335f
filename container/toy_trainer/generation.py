"""Lets a model speak: one token after the other, no cache, which is enough at this size."""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import codecs
from collections.abc import Iterator

import torch

from container.toy_trainer.gpt import GPT
from container.toy_trainer.tokens import Tokenizer


@torch.no_grad()
def generate(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: list[int],
    *,
    max_tokens: int,
    temperature: float = 0.8,
    top_k: int = 50,
    seed: int = 42,
) -> Iterator[int]:
    """Yield new ids until the assistant ends, a document begins, or `max_tokens` are there.

    The model sees the last tokens only, as many as it was trained on. Temperature 0 takes the
    likeliest token each time; else equal seeds give equal text.
    """
    enders = {tokenizer.bos, tokenizer.special("<|assistant_end|>")}
    chance = torch.Generator().manual_seed(seed)
    ids = list(prompt)
    for _ in range(max_tokens):
        logits = model(torch.tensor([ids[-model.config.sequence_len :]]))[0, -1]
        if temperature <= 0:
            token = int(logits.argmax())
        else:
            best, candidates = torch.topk(logits, min(top_k, len(logits)))
            odds = torch.softmax(best / temperature, dim=0)
            token = int(candidates[torch.multinomial(odds, 1, generator=chance)])
        if token in enders:
            return
        ids.append(token)
        yield token


def pieces(tokenizer: Tokenizer, ids: Iterator[int]) -> Iterator[str]:
    """Yield text as it comes: a character split over tokens is held back until it is whole."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in ids:
        if text := decoder.decode(tokenizer.decode_bytes([token])):
            yield text
    if text := decoder.decode(b"", final=True):
        yield text
