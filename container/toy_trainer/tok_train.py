"""Trains the tokenizer: rustbpe on the train shards, kept as a pickled tiktoken Encoding.

python -m container.toy_trainer.tok_train --max-chars=2000000 --vocab-size=1024
"""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import argparse
import itertools
import pickle
import time
from collections.abc import Iterator

import rustbpe
import tiktoken
import torch

from container.toy_trainer import documents, layout, report
from container.toy_trainer.tokens import SPECIAL_TOKENS, Tokenizer

SPLIT_PATTERN = (  # GPT-4's, with numbers of one or two digits
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}"""
    r"""| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"""
)


def main(argv: list[str] | None = None) -> int:
    """Train and write tokenizer.pkl and token_bytes.pt."""
    parser = argparse.ArgumentParser(description="Train a BPE tokenizer")
    parser.add_argument("--max-chars", type=int, default=2_000_000)
    parser.add_argument("--doc-cap", type=int, default=10_000)
    parser.add_argument("--vocab-size", type=int, default=1024)
    arguments = parser.parse_args(argv)
    for name, value in vars(arguments).items():
        print(f"{name}: {value:,}")
    if arguments.vocab_size < 256 + len(SPECIAL_TOKENS):
        parser.error(f"--vocab-size must be at least {256 + len(SPECIAL_TOKENS)}")
    started = time.monotonic()
    encoding = _train(arguments.max_chars, arguments.doc_cap, arguments.vocab_size)
    train_s = time.monotonic() - started
    print(f"Training time: {train_s:.2f}s")
    tokenizer = Tokenizer(encoding)
    sample = next(documents.texts(documents.shard_files("val")[0]))
    ids = tokenizer.encode(sample)
    if tokenizer.decode(ids) != sample:
        raise RuntimeError("the new tokenizer does not give back the text that it was given")
    ratio = len(sample.encode()) / len(ids)
    print(f"Bytes per token on validation text: {ratio:.2f}")
    _write(encoding)
    report.section(
        "tokenizer-training",
        {**vars(arguments), "train_time_s": round(train_s, 2), "bytes_per_token": round(ratio, 2)},
    )
    return 0


def _train(max_chars: int, doc_cap: int, vocab_size: int) -> tiktoken.Encoding:
    learner = rustbpe.Tokenizer()
    texts = _texts(max_chars=max_chars, doc_cap=doc_cap)
    learner.train_from_iterator(texts, vocab_size - len(SPECIAL_TOKENS), pattern=SPLIT_PATTERN)
    ranks = {bytes(token): rank for token, rank in learner.get_mergeable_ranks()}
    return tiktoken.Encoding(
        name="rustbpe",
        pat_str=learner.get_pattern(),
        mergeable_ranks=ranks,
        special_tokens={name: len(ranks) + i for i, name in enumerate(SPECIAL_TOKENS)},
    )


def _texts(*, max_chars: int, doc_cap: int) -> Iterator[str]:
    seen = 0
    shards = documents.shard_files("train")
    for text in itertools.chain.from_iterable(map(documents.texts, shards)):
        yield text[:doc_cap]
        seen += min(len(text), doc_cap)
        if seen > max_chars:
            return


def _write(encoding: tiktoken.Encoding) -> None:
    folder = layout.tokenizer_dir()
    folder.mkdir(parents=True, exist_ok=True)
    special = set(encoding._special_tokens.values())
    sizes = [
        0 if token in special else len(encoding.decode_single_token_bytes(token))
        for token in range(encoding.n_vocab)
    ]
    torch.save(torch.tensor(sizes, dtype=torch.int32), folder / "token_bytes.pt")
    part = folder / "tokenizer.pkl.part"
    part.write_bytes(pickle.dumps(encoding))
    part.replace(folder / "tokenizer.pkl")
    print(f"Saved tokenizer to {folder / 'tokenizer.pkl'}")
    print(f"Saved token_bytes to {folder / 'token_bytes.pt'}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
