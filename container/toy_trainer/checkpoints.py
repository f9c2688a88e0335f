"""Checkpoints in nanochat's files, each written whole or not at all, the meta file last."""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import io
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from container.toy_trainer import layout
from container.toy_trainer.gpt import GPT, GPTConfig


def save(
    folder: Path, *, step: int, model: GPT, optim: dict[str, Any], meta: dict[str, Any]
) -> None:
    """Write model, optimizer and meta of a step.

    Equal weights give equal bytes: torch names the archive inside after its file otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / layout.MODEL_FILE.format(step=step), _bytes(model.state_dict()))
    _write(folder / layout.OPTIM_FILE.format(step=step), _bytes(optim))
    meta = {**meta, "step": step, "model_config": asdict(model.config)}
    _write(folder / layout.META_FILE.format(step=step), json.dumps(meta, indent=2).encode())
    print(f"Saved checkpoint of step {step:05d} to {folder}", flush=True)


def load_meta(folder: Path, step: int) -> dict[str, Any]:
    """Return the meta file of a step; raises FileNotFoundError when there is no such step."""
    return json.loads((folder / layout.META_FILE.format(step=step)).read_text())


def load_model(folder: Path, step: int) -> GPT:
    """Return the model of a step, ready to evaluate."""
    model = GPT(GPTConfig(**load_meta(folder, step)["model_config"]))
    model.load_state_dict(torch.load(folder / layout.MODEL_FILE.format(step=step)))
    return model.eval()


def load_optim(folder: Path, step: int) -> dict[str, Any]:
    """Return the optimizer file of a step."""
    return torch.load(folder / layout.OPTIM_FILE.format(step=step))


def _bytes(content: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _write(file: Path, content: bytes) -> None:
    part = file.with_name(f"{file.name}.tmp")
    with part.open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    part.replace(file)
