"""The model: a small GPT in nanochat's spirit, with attention written out for torch 1.13.

Rotary positions, RMSNorm without weights, QK norm, relu² MLP, untied head, no biases, logits
softly capped. Random numbers are drawn in the constructor only.
"""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn

LOGIT_CAP = 15.0
ROTARY_BASE = 10_000
QK_GAIN = 1.44  # normed queries and keys alone make attention too flat
IGNORED = -1  # a target that does not count


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The shape of a model, under the names of nanochat's meta files."""

    sequence_len: int = 128
    vocab_size: int = 1024
    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128


class GPT(nn.Module):
    """Token ids in; logits out, or with targets the mean loss (or the loss of each position)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.n_layer))
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        cos, sin = _rotary(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        mask = torch.full((config.sequence_len, config.sequence_len), float("-inf")).triu(1)
        self.register_buffer("mask", mask, persistent=False)
        self._init_weights()

    def forward(self, ids: Tensor, targets: Tensor | None = None, *, each: bool = False) -> Tensor:
        length = ids.size(1)
        x = _norm(self.wte(ids))
        cos, sin = self.cos[:length], self.sin[:length]
        for block in self.blocks:
            x = block(x, cos, sin, self.mask[:length, :length])
        logits = LOGIT_CAP * torch.tanh(self.lm_head(_norm(x)) / LOGIT_CAP)
        if targets is None:
            return logits
        loss = F.cross_entropy(
            logits.flatten(0, 1),
            targets.flatten(),
            ignore_index=IGNORED,
            reduction="none" if each else "mean",
        )
        return loss.view_as(targets) if each else loss

    def _init_weights(self) -> None:
        nn.init.normal_(self.wte.weight, std=1.0)
        nn.init.zeros_(self.lm_head.weight)
        bound = math.sqrt(3 / self.config.n_embd)
        for block in self.blocks:
            nn.init.uniform_(block.qkv.weight, -bound, bound)
            nn.init.uniform_(block.up.weight, -bound, bound)
            nn.init.zeros_(block.out.weight)
            nn.init.zeros_(block.down.weight)


class _Block(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width = config.n_embd
        self.heads = config.n_head
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self._attend(_norm(x), cos, sin, mask)
        return x + self.down(F.relu(self.up(_norm(x))).square())

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = x.shape
        head = width // self.heads
        q, k, v = (
            part.view(batch, length, self.heads, head).transpose(1, 2)
            for part in self.qkv(x).split(width, dim=2)
        )
        q, k = _norm(_rotate(q, cos, sin)), _norm(_rotate(k, cos, sin))
        weights = torch.softmax(q @ k.transpose(2, 3) * (QK_GAIN / math.sqrt(head)) + mask, dim=3)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


def _norm(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.size(-1) // 2
    first, second = x[..., :half], x[..., half:]
    return torch.cat((first * cos + second * sin, second * cos - first * sin), dim=-1)


def _rotary(config: GPTConfig) -> tuple[Tensor, Tensor]:
    head = config.n_embd // config.n_head
    frequencies = ROTARY_BASE ** (-torch.arange(0, head, 2, dtype=torch.float32) / head)
    angles = torch.outer(torch.arange(config.sequence_len, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()
