"""Names in the code keep to the glossary, which is read here, so that it cannot go stale unseen."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests import ROOT
from tests.source_tree import modules_in

GLOSSARY = ROOT / "docs/glossary.md"
PLACES = ("components", "container", "localcloud", "runs", "benchmarks")
Kind = Literal["module", "class"]


@dataclass(frozen=True)
class RuledOut:
    """A word that names of some kinds do not use, and what to say instead."""

    word: str
    instead: str
    kinds: tuple[str, ...]


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the tables under a heading, without their heads."""
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def ruled_out(text: str) -> list[RuledOut]:
    """Return the words of the last table, several of a line apart."""
    return [
        RuledOut(word.strip(), instead, tuple(kind.strip() for kind in kinds.split(",")))
        for words, instead, kinds in rows(text, "Not these words")
        for word in words.split(",")
    ]


def spaced(name: str) -> str:
    """Return a name's words with blanks between and around: `StageWork` is ` stage work `."""
    return f" {' '.join(re.findall(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+', name)).lower()} "


def breaches(kind: Kind, name: str, words: Iterable[RuledOut]) -> list[str]:
    """Return what is wrong with a name; one that says what to say instead is right."""
    said = spaced(name)
    return [
        f"{kind} {name}: not {one.word!r}, but {one.instead}"
        for one in words
        if kind in one.kinds and f" {one.word} " in said
        if not any(f" {better.strip()} " in said for better in one.instead.split(","))
    ]


def names(path: Path, module: str) -> list[tuple[Kind, str]]:
    classes = [n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ClassDef)]
    return [("module", module.split(".")[-1]), *(("class", name) for name in classes)]


def test_no_module_and_no_class_is_named_by_a_word_that_the_glossary_rules_out() -> None:
    words = ruled_out(GLOSSARY.read_text())
    wrong = [
        f"{path.relative_to(ROOT)}: {breach}"
        for module, path in modules_in(ROOT, PLACES).items()
        for kind, name in names(path, module)
        for breach in breaches(kind, name, words)
    ]
    assert not wrong, "\n" + "\n".join(wrong) + "\nRename it, or change docs/glossary.md."


def test_every_path_that_the_glossary_names_is_there() -> None:
    paths = re.findall(r"`([\w/.]+/[\w.]+)`", GLOSSARY.read_text())
    gone = [path for path in dict.fromkeys(paths) if not (ROOT / path).exists()]
    assert paths and not gone, f"docs/glossary.md names {', '.join(gone)}: say where it lives now"


def test_no_term_stands_twice_and_none_is_ruled_out() -> None:
    text = GLOSSARY.read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)[:-1]
    terms = [cells[0] for heading in headings for cells in rows(text, heading)]
    twice = {term for term in terms if terms.count(term) > 1}
    out = {one.word for one in ruled_out(text) if one.kinds == ("module", "class")} - {"artefact"}
    assert not twice and not out & set(terms)


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        ("class", "RunJournal", True),
        ("module", "journal", True),
        ("class", "StageWork", True),
        ("class", "WorkStage", False),  # another order, another thing
        ("class", "Heartbeat", False),  # ruled out for modules only
        ("module", "heartbeat", True),
        ("module", "shapes", True),
        ("module", "json_shapes", False),  # is what to say instead
        ("module", "datasets", False),  # `data` is a word, not a beginning
        ("class", "HTTPBoard", True),
    ],
)
def test_a_name_is_taken_apart_into_its_words(kind: Kind, name: str, wrong: bool) -> None:
    assert bool(breaches(kind, name, ruled_out(GLOSSARY.read_text()))) == wrong
