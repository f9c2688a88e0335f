"""Reads what `dataset` has put on disk: documents of the shards, and conversations. No network."""

from __future__ import annotations

import gzip
import hashlib
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from container.toy_trainer import layout

HELD_OUT_EVERY = 10  # every tenth conversation is kept from SFT and asked in chat_eval


class Message(TypedDict):
    """One turn of a conversation; `role` is user or assistant."""

    role: str
    content: str


def shard_files(split: str) -> list[Path]:
    """Return the shards of `train` or `val`: as in nanochat the last one in order validates.

    Raises FileNotFoundError with fewer than two: training would have nothing to read.
    """
    files = sorted(layout.shards_dir().glob("shard_*.jsonl.gz"))
    if len(files) < 2:
        raise FileNotFoundError(
            f"{len(files)} shards in {layout.shards_dir()}, at least 2 are needed (the last one is "
            "for validation): run container.toy_trainer.dataset first"
        )
    return files[:-1] if split == "train" else files[-1:]


def texts(file: Path) -> Iterator[str]:
    """Yield the documents of one shard, in order."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def fingerprint(files: list[Path]) -> str:
    """Return a hash of names and contents; a checkpoint resumes only on the data that it saw."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def conversations(split: str) -> list[list[Message]]:
    """Return the conversations of `train` or `val` in the order of the file."""
    file = layout.conversations_file()
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: run container.toy_trainer.dataset first")
    every = [
        typing.cast("list[Message]", json.loads(line))
        for line in file.read_text("utf-8").splitlines()
        if line.strip()
    ]
    held_out = split == "val"
    return [c for i, c in enumerate(every) if (i % HELD_OUT_EVERY == 0) == held_out]
