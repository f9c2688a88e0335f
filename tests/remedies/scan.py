"""Finds the remedies that the source's messages name; code is read, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What a reader is told to type, to set or to raise. A docstring tells nobody.
_REMEDY = re.compile(
    r"pulumi (?:up|destroy|refresh|config|preview|stack|cancel|login|plugin)\b"
    r"|python -m (?:runs|localcloud)\b"
    r"|\bmake (?:up|down|purge|test|setup)\b"
    r"|\bsource (?:\.local|this|the)\b|trainstack_leave"
    r"|\b(?:[Rr]aise|[Ss]et|[Uu]nset|[Ss]ay|[Nn]ame) (?:the |`|it, )?"
    r"(?:trainstack:|--|[A-Z][A-Z0-9_]{5,})"
    r"|[Tt]ry (?:the same |it )?again|[Tt]he same again"
    r"|\b(?:[Cc]opy|[Aa]sk|[Rr]un|[Ll]ook) (?:the same )?again"
    r"|\b(?:[Cc]heck (?:the|that|trainstack:|[A-Z]{4,})|[Uu]se the version|[Cc]hoose another)"
    r"|[Uu]pdate this|[Bb]ring the stack up|must be the address|[Ww]ait until it|[Ll]eave the VPN"
    r"|\bsudo |\bdocker (?:ps|network|info|version)\b|\b[Ii]nstall (?:Go|Docker|Pulumi|it)\b"
    r"|(?<![\w-])--(?:stack|bucket|yes|force|forget|run|prefix|to|only|without-manifest)\b"
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """One message of the source with a remedy in it; what is filled in reads `{}`."""

    module: str
    line: int
    text: str


def told_in(path: Path, *, module: str) -> Iterator[Told]:
    """Yield the messages of one file that name a remedy, in the order of their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = set(_silent(tree))
    found = [
        Told(module=module, line=node.lineno, text=text)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and id(node) not in silent
        if (text := _text(node)) and _REMEDY.search(text)
    ]
    return iter(sorted(found, key=lambda told: told.line))


def _silent(tree: ast.AST) -> Iterator[int]:
    """Yield what is no message of its own: docstrings, and the parts of a formatted text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            yield id(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield from (id(part) for part in ast.walk(node) if part is not node)


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return "".join(parts)
