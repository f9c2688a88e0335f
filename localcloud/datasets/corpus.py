"""The rehearsal's data set: real English that Python and Debian ship, the same bytes every time.

Documents come from Python's reference topics, the docstrings of its standard library and Debian's
common licences; conversations for fine-tuning are questions about the same names.
"""

from __future__ import annotations

import ast
import gzip
import inspect
import json
import random
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

SHARDS = 9  # the last one is the validation shard
VERSION = 3  # raise it when the content changes
MIN_DOCSTRING_CHARS = 120
MAX_DOCUMENT_CHARS = 6000
MAX_CONVERSATIONS = 4000
SHUFFLE_SEED = 20251013
LICENCES = Path("/usr/share/common-licenses")
# Data tables and vendored copies read like nothing a model should learn first.
_SKIPPED = frozenset({"test", "tests", "idlelib", "site-packages", "dist-packages", "lib2to3",
                      "turtledemo", "__pycache__", "ensurepip", "encodings"})  # fmt: skip


@dataclass(frozen=True)
class Document:
    """A text and the name of what it describes."""

    name: str
    text: str


def build_corpus(folder: Path) -> Path:
    """Write shards, conversations and manifest into `folder` unless they are there; return it.

    The folder appears whole or not at all.
    """
    stamp = f"{VERSION}-{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    if (folder / "stamp").exists() and (folder / "stamp").read_text() == stamp:
        return folder
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    # The library says some things twice; once is enough, and none may be in two shards.
    documents = list({document.text: document for document in _documents()}.values())
    random.Random(SHUFFLE_SEED).shuffle(documents)  # noqa: S311 - the same order every time
    shards = [_write_shard(draft, i, documents[i::SHARDS]) for i in range(SHARDS)]
    (draft / "conversations.jsonl").write_text(
        "".join(f"{json.dumps(turns)}\n" for turns in _conversations(documents))
    )
    (draft / "manifest.json").write_text(json.dumps({"schema": 1, "shards": shards}, indent=1))
    (draft / "stamp").write_text(stamp)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return folder


def _write_shard(folder: Path, index: int, documents: list[Document]) -> dict[str, object]:
    name = f"shard_{index:05d}.jsonl.gz"
    lines = "".join(f"{json.dumps({'text': document.text})}\n" for document in documents)
    content = gzip.compress(lines.encode(), mtime=0)
    (folder / name).write_bytes(content)
    return {
        "name": name,
        "size_bytes": len(content),
        "sha256": sha256(content).hexdigest(),
        "documents": len(documents),
    }


def _documents() -> Iterator[Document]:
    from pydoc_data import topics

    for name, text in sorted(topics.topics.items()):
        yield from _pieces(name, text)
    if LICENCES.is_dir():
        for path in sorted(LICENCES.iterdir()):
            if path.is_file() and not path.is_symlink():
                yield from _pieces(f"the {path.name} licence", path.read_text(errors="replace"))
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).parts
        if not _SKIPPED.intersection(parts):
            yield from _docstrings(path, ".".join(parts).removesuffix(".py"))


def _docstrings(path: Path, module: str) -> Iterator[Document]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    module = module.removesuffix(".__init__")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if text and len(text) >= MIN_DOCSTRING_CHARS:
            name = module if isinstance(node, ast.Module) else f"{module}.{node.name}"
            yield from _pieces(name, inspect.cleandoc(text))


def _pieces(name: str, text: str) -> Iterator[Document]:
    """Cut at blank lines into documents of a bounded length."""
    piece: list[str] = []
    size = 0
    for paragraph in text.strip().split("\n\n"):
        if piece and size + len(paragraph) > MAX_DOCUMENT_CHARS:
            yield Document(name, "\n\n".join(piece).strip())
            piece, size = [], 0
        piece.append(paragraph)
        size += len(paragraph) + 2
    if piece:
        yield Document(name, "\n\n".join(piece).strip())


def _conversations(documents: list[Document]) -> Iterator[list[dict[str, str]]]:
    questions = ("What is {}?", "Explain {}.", "Tell me about {}.", "What does {} do?")
    told: set[str] = set()
    for document in documents:
        answer = document.text.split("\n\n")[0].strip()
        if document.name in told or not 40 <= len(answer) <= 600:
            continue
        told.add(document.name)
        question = questions[len(told) % len(questions)].format(document.name)
        yield [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        if len(told) == MAX_CONVERSATIONS:
            return
