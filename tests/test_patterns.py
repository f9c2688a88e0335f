r"""No regular expression of the source ends in `$`: it also matches before a last line end.

"name\n" passes such a pattern, and goes on into an address, a header or a name at the vendor.
https://docs.python.org/3/library/re.html#index-2
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

PLACES = ("components", "container", "runs", "localcloud", "benchmarks", "tests")
SOURCES = [ROOT / "__main__.py", *(p for place in PLACES for p in (ROOT / place).rglob("*.py"))]

CALLS = frozenset(
    {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
)
NOT_AN_END = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""An escaped character, and a class of characters: a dollar in them is a dollar."""


def ends_early(pattern: str) -> bool:
    return "$" in NOT_AN_END.sub("", pattern)


def texts(node: ast.expr) -> Iterator[str]:
    """Return the constant texts that an expression is made of."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def patterns(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return each pattern with its line: of `re`, of `pattern=`, of a JSON schema, by its look."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if re.search(r"re\.M(?:ULTILINE)?\b", ast.unparse(node)):
                continue  # there it is meant: the end of a line
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            of_re = name in CALLS and ast.unparse(node.func).startswith("re.")
            given = node.args[:1] if of_re or name == "from_regex" else []
            given += [one.value for one in node.keywords if one.arg in ("pattern", "match")]
            yield from ((node.lineno, text) for one in given for text in texts(one))
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "pattern":
                    yield from ((node.lineno, text) for text in texts(value))
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant):
            yield from ((node.lineno, t) for t in texts(node.value) if t.startswith("^"))


@pytest.mark.parametrize(
    ("pattern", "early"),
    [
        (r"^a$", True),
        (r"^(a|b$)", True),
        (r"a\\$", True),
        (r"a\$", False),
        (r"[$]", False),
        (r"[]$]", False),
        (r"[^\]$]", False),
        (r"a\Z", False),
    ],
)
def test_an_end_is_told_from_a_dollar(pattern: str, early: bool) -> None:
    assert ends_early(pattern) == early


def test_the_patterns_of_a_source_are_found_wherever_they_stand() -> None:
    source = (
        "import re\n"
        'A = re.compile(rf"^{x}$", re.I)\n'
        'B = Field(pattern=r"b$")\n'
        'C = {"pattern": "c$"}\n'
        'D = "^d$"\n'
        're.search(r"^e$", text, re.MULTILINE)\n'
    )
    found = [line for line, text in patterns(ast.parse(source)) if ends_early(text)]
    assert sorted(set(found)) == [2, 3, 4, 5]


def test_no_pattern_lets_a_last_line_end_pass() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in SOURCES
        if path != Path(__file__).resolve()
        for line, text in patterns(ast.parse(path.read_text()))
        if ends_early(text)
    ]
    assert not found, "\n".join(["write \\Z, or use fullmatch:", *found])
