"""Where the rehearsal's files lie under NANOCHAT_BASE_DIR: nanochat's own names, no I/O but mkdir.

https://github.com/karpathy/nanochat keeps the same layout; the shards' folder and format differ.
"""

from __future__ import annotations

import os
from pathlib import Path

MODEL_FILE = "model_{step:06d}.pt"
OPTIM_FILE = "optim_{step:06d}_rank0.pt"
META_FILE = "meta_{step:06d}.json"


def base_dir() -> Path:
    """Return nanochat's base folder, made when it is not there."""
    folder = Path(os.environ.get("NANOCHAT_BASE_DIR", "~/.cache/nanochat")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shards_dir() -> Path:
    """Return the folder of text shards, of their manifest.json and of conversations.jsonl."""
    return base_dir() / "base_data"


def conversations_file() -> Path:
    """Return the file of supervised conversations, one JSON array of messages a line."""
    return base_dir() / "conversations.jsonl"


def tokenizer_dir() -> Path:
    """Return the folder of tokenizer.pkl and token_bytes.pt."""
    return base_dir() / "tokenizer"


def checkpoint_dir(source: str, tag: str) -> Path:
    """Return the folder of `base` or `sft` checkpoints of a model tag."""
    return base_dir() / {"base": "base_checkpoints", "sft": "chatsft_checkpoints"}[source] / tag


def report_dir() -> Path:
    """Return the folder of the report and its sections."""
    return base_dir() / "report"


def newest_step(folder: Path) -> int:
    """Return the newest step of which model and meta are both there, by name alone.

    Raises FileNotFoundError that says which stage makes the missing files.
    """
    steps = [
        int(meta.stem.removeprefix("meta_"))
        for meta in folder.glob("meta_*.json")
        if (folder / f"model_{meta.stem.removeprefix('meta_')}.pt").exists()
    ]
    if not steps:
        raise FileNotFoundError(
            f"No checkpoint in {folder}: the stage that trains it has not run, or ran with another "
            "--model-tag"
        )
    return max(steps)


def newest_tag(source: str) -> str:
    """Return the tag with the largest depth (`d4`), as nanochat's loaders do without a tag."""
    folder = checkpoint_dir(source, "")
    tags = [f.name for f in folder.glob("d*") if f.name.removeprefix("d").isdigit()]
    if not tags:
        raise FileNotFoundError(f"No model tag of the form d<depth> in {folder}: give --model-tag")
    return max(tags, key=lambda tag: int(tag.removeprefix("d")))
