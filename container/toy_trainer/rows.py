"""Training rows: texts and conversations as token rows of one length, in a repeatable order."""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from container.toy_trainer import documents
from container.toy_trainer.documents import Message
from container.toy_trainer.gpt import IGNORED
from container.toy_trainer.tokens import Tokenizer

ORDER_SEED = 1337


class Rows:
    """Inputs and targets, given out batch by batch, shuffled anew each epoch.

    The order depends on the epoch only, so `position` is all that a resumed run needs.
    """

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        if len(inputs) == 0:
            raise ValueError("no training row: the data is shorter than one row")
        self.inputs, self.targets = inputs, targets
        self.seek({"epoch": 1, "rg_idx": 0})

    def __len__(self) -> int:
        return len(self.inputs)

    def position(self) -> dict[str, int]:
        """Return where the next batch starts, under nanochat's names: row group means row."""
        return {"pq_idx": 0, "rg_idx": self._next, "epoch": self._epoch}

    def seek(self, position: dict[str, int]) -> None:
        """Go on from a position."""
        self._epoch, self._next = position["epoch"], position["rg_idx"]
        order = torch.Generator().manual_seed(ORDER_SEED + self._epoch)
        self._order = torch.randperm(len(self.inputs), generator=order)

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """Return the next rows; one batch may span two epochs."""
        parts: list[Tensor] = []
        while size > 0:
            if self._next >= len(self):
                self.seek({"epoch": self._epoch + 1, "rg_idx": 0})
            part = self._order[self._next : self._next + size]
            self._next += len(part)
            size -= len(part)
            parts.append(part)
        chosen = torch.cat(parts)
        return self.inputs[chosen], self.targets[chosen]


def of_texts(files: Iterable[Path], tokenizer: Tokenizer, *, length: int) -> Rows:
    """Return rows cut from all documents in one stream, each document behind a <|bos|>."""
    stream: list[int] = []
    for text in itertools.chain.from_iterable(map(documents.texts, files)):
        stream.append(tokenizer.bos)
        stream.extend(tokenizer.encode(text))
    count = (len(stream) - 1) // length
    ids = torch.tensor(stream, dtype=torch.int64)
    return Rows(
        ids[: count * length].view(count, length), ids[1 : count * length + 1].view(count, length)
    )


def of_conversations(
    conversations: Iterable[list[Message]], tokenizer: Tokenizer, *, length: int
) -> Rows:
    """Return rows of whole conversations; only what the assistant says is a target.

    A conversation that is longer than a row is cut: in nanochat such ones made the loss NaN.
    """
    rows: list[tuple[list[int], list[int]]] = []
    ids: list[int] = []
    targets: list[int] = []
    for conversation in conversations:
        said, learned = (part[: length + 1] for part in tokenizer.render(conversation))
        if len(ids) + len(said) - 1 > length:
            rows.append(_padded(ids, targets, tokenizer.bos, length))
            ids, targets = [], []
        ids += said[:-1]
        targets += [
            token if counts else IGNORED
            for token, counts in zip(said[1:], learned[1:], strict=True)
        ]
    if ids:
        rows.append(_padded(ids, targets, tokenizer.bos, length))
    rows = [row for row in rows if any(target != IGNORED for target in row[1])]
    return Rows(torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows]))


def _padded(
    ids: list[int], targets: list[int], filler: int, length: int
) -> tuple[list[int], list[int]]:
    missing = length - len(ids)
    return ids + [filler] * missing, targets + [IGNORED] * missing
