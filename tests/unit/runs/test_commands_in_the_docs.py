"""Every command line of ours that a page names is one that can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from runs.cli import app
from tests import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINE = re.compile(r"python -m runs ([a-z]+[^`\n#|]*)")


def lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in LINE.findall(page.read_text(encoding="utf-8")):
            yield page.name, found.strip()


@pytest.mark.parametrize(("page", "line"), sorted(set(lines())))
def test_a_command_of_a_page_has_the_options_that_are_named(page: str, line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line.partition(" = ")[0].rstrip(".;:,)"))
    named = command.commands.get(words[0])
    assert named is not None, f"{page}: there is no command {words[0]}"
    options = {option for one in named.params for option in one.opts}
    unknown = [word for word in words[1:] if word.startswith("--") and word not in options]
    assert unknown == [], f"{page}: {line}"


def test_the_pages_name_commands() -> None:
    assert len(list(lines())) > 10
