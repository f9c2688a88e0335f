"""The top folders are places of execution; only wire types cross between them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import ROOT

PLACES = ("components", "container", "localcloud", "runs")

# What one place may import of another, and why.
ALLOWED = {
    ("runs", "container.contract.records"),  # readers of what the supervisor writes
    ("runs", "container.contract.keys"),  # and where it lies
    ("runs", "container.contract.metrics"),  # the page and the terminal show the same curve
    ("runs", "components.ionet.models"),  # the vendor's wire types and glossary
    # A machine that no state knows is found and given back by the same calls as one that is: a
    # second client would have its own idea of what "gone" means.
    ("runs", "components.ionet.client"),
    ("runs", "components.ionet.errors"),
    ("runs", "components.ionet.rental"),
    ("runs", "components.config.endpoints"),
    ("localcloud", "container.contract.records"),
    ("localcloud", "components.ionet.models"),
    ("components", "container.contract.records"),  # is there a verdict already?
    ("components", "container.contract.keys"),
    (
        "components",
        "container.contract.recipe",
    ),  # a wrong recipe setting is refused before anything is rented
}


def imports_of(path: Path) -> set[str]:
    """Return the dotted names of every module that a file imports, nested imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def is_allowed(place: str, name: str) -> bool:
    return any(
        place == importer and (name == module or name.startswith(f"{module}."))
        for importer, module in ALLOWED
    )


@pytest.mark.parametrize("place", PLACES)
def test_only_wire_types_cross_between_the_places(place: str) -> None:
    crossings = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / place).rglob("*.py"))
        for name in sorted(imports_of(path))
        if name.split(".")[0] in PLACES
        and name.split(".")[0] != place
        and not is_allowed(place, name)
    ]
    assert crossings == []


def test_the_paid_machine_never_imports_pulumi() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "container").rglob("*.py"))
        if any(name.split(".")[0] == "pulumi" for name in imports_of(path))
    ]
    assert guilty == []


def test_the_package_that_pulumi_unpickles_stays_where_old_stacks_look_for_it() -> None:
    assert (ROOT / "components/__init__.py").read_bytes() == b""
    assert (ROOT / "components/ionet/provider.py").is_file()


def test_the_program_stays_short() -> None:
    assert len((ROOT / "__main__.py").read_text().splitlines()) < 60
