"""The tokenizer as the other programs use it: nanochat's files, special tokens and chat format."""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import pickle

import torch

from container.toy_trainer import layout
from container.toy_trainer.documents import Message

SPECIAL_TOKENS = (
    "<|bos|>",
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|output_start|>",
    "<|output_end|>",
)


class Tokenizer:
    """A pickled tiktoken Encoding with the names of its special tokens."""

    def __init__(self, encoding) -> None:
        self._encoding = encoding
        self.vocab_size: int = encoding.n_vocab
        self.bos = self.special("<|bos|>")

    def special(self, name: str) -> int:
        """Return the id of a special token."""
        return self._encoding.encode_single_token(name)

    def encode(self, text: str) -> list[int]:
        """Return ids of plain text; what looks like a special token in it is plain text too."""
        return self._encoding.encode_ordinary(text)

    def decode(self, ids: list[int]) -> str:
        """Return text; bytes that are no UTF-8 (yet) come out as the replacement character."""
        return self._encoding.decode(ids)

    def decode_bytes(self, ids: list[int]) -> bytes:
        """Return the exact bytes of the ids."""
        return self._encoding.decode_bytes(ids)

    def render(self, messages: list[Message]) -> tuple[list[int], list[bool]]:
        """Return ids of a conversation, and of each whether it is the assistant's to say."""
        ids, learned = [self.bos], [False]
        for message in messages:
            role = "assistant" if message["role"] == "assistant" else "user"
            content = self.encode(message["content"])
            ids += [self.special(f"<|{role}_start|>"), *content, self.special(f"<|{role}_end|>")]
            learned += [False, *[role == "assistant"] * (len(content) + 1)]
        return ids, learned

    def prompt(self, messages: list[Message]) -> list[int]:
        """Return ids that end where the assistant starts to speak."""
        return [*self.render(messages)[0], self.special("<|assistant_start|>")]


def load() -> Tokenizer:
    """Read tokenizer.pkl of this run; it is a pickle, so never one from elsewhere."""
    file = layout.tokenizer_dir() / "tokenizer.pkl"
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: run container.toy_trainer.tok_train first")
    with file.open("rb") as content:
        return Tokenizer(pickle.load(content))  # noqa: S301 (made by tok_train of this run)


def load_token_bytes() -> torch.Tensor:
    """Return how many bytes each token stands for; 0 for special tokens."""
    return torch.load(layout.tokenizer_dir() / "token_bytes.pt")
