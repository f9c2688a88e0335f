"""Reads the imports of a source tree and says which of them break a rule; the rules are elsewhere.

Code is read, never run. Imports inside functions count. Those of a TYPE_CHECKING block are marked:
they cross between places all the same, but nothing is loaded by them.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One import: by which module, of which module, in which line."""

    importer: str
    name: str  # the module itself, never a name within it
    line: int
    for_types: bool = False

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.name}"


def modules_in(root: Path, places: Iterable[str]) -> dict[str, Path]:
    """Return the path of every module below the places, by dotted name; a package is one too."""
    paths = [path for place in places for path in sorted((root / place).rglob("*.py"))]
    return {_dotted(path.relative_to(root)): path for path in paths}


def imports_in(modules: Mapping[str, Path]) -> list[Import]:
    """Return every import of the modules, in the order of their names."""
    return [one for name in sorted(modules) for one in _imports_of(name, modules)]


def lies_in(module: str, package: str) -> bool:
    """Say whether the module is the package itself or lies somewhere below it."""
    return module == package or module.startswith(f"{package}.")


def crossings(
    imports: Iterable[Import], places: Iterable[str], allowed: Mapping[str, Iterable[str]]
) -> list[Import]:
    """Return the imports from one place into another that `allowed` does not name."""
    known = set(places)
    return [
        one
        for one in imports
        if (place := _top(one.importer)) != _top(one.name) and _top(one.name) in known
        if not any(lies_in(one.name, package) for package in allowed.get(place, ()))
    ]


def foreign(imports: Iterable[Import], package: str, allowed: Iterable[str]) -> list[Import]:
    """Return what a package loads beside the standard library, itself and what `allowed` names."""
    fine = {*sys.stdlib_module_names, *allowed, "__future__"}
    return [
        one
        for one in imports
        if lies_in(one.importer, package) and not one.for_types
        if not lies_in(one.name, package) and _top(one.name) not in fine and one.name not in fine
    ]


def circles(imports: Iterable[Import]) -> list[str]:
    """Return each circle of modules that load one another, once, as `a -> b -> a`."""
    loads: dict[str, set[str]] = {}
    for one in imports:
        if not one.for_types and one.name != one.importer:
            loads.setdefault(one.importer, set()).add(one.name)
    rings: dict[frozenset[str], str] = {}
    for start in sorted(loads):
        way = _way_back(start, loads)
        if way:
            rings.setdefault(frozenset(way), " -> ".join([*way, start]))
    return list(rings.values())


def against_layers(imports: Iterable[Import], rows: Sequence[Sequence[str]]) -> list[Import]:
    """Return the imports that go up, or across a row, in rows of packages from the bottom up.

    A module belongs to the nearest package above it that a row names.
    """
    height = {package: index for index, row in enumerate(rows) for package in row}
    wrong: list[Import] = []
    for one in imports:
        here, there = (_nearest(name, height) for name in (one.importer, one.name))
        if here and there and here != there and height[there] >= height[here]:
            wrong.append(one)
    return wrong


def beside_layers(imports: Iterable[Import], package: str, allowed: Iterable[str]) -> list[Import]:
    """Return what ties a package that stands for itself to the rest of its place, either way."""
    place = _top(package)
    fine = tuple(allowed)
    return [
        one
        for one in imports
        if _top(one.importer) == place == _top(one.name)
        if lies_in(one.importer, package) != lies_in(one.name, package)
        if not any(lies_in(one.name, name) for name in fine) or lies_in(one.name, package)
    ]


def _imports_of(module: str, modules: Mapping[str, Path]) -> Iterator[Import]:
    path = modules[module]
    tree = ast.parse(path.read_text(), str(path))
    typing = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, module, is_package=path.name == "__init__.py")
            whole = [f"{source}.{alias.name}" for alias in node.names]
            names = [name if name in modules else source for name in whole]
        else:
            continue
        for name in dict.fromkeys(names):
            yield Import(module, name, node.lineno, for_types=id(node) in typing)


def _source(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([*above, *([node.module] if node.module else [])])


def _way_back(start: str, loads: Mapping[str, set[str]]) -> list[str]:
    """Return the shortest way from a module back to itself, or nothing."""
    ways = [[start]]
    reached: set[str] = set()
    while ways:
        way = ways.pop(0)
        for name in sorted(loads.get(way[-1], ())):
            if name == start:
                return way
            if name not in reached:
                reached.add(name)
                ways.append([*way, name])
    return []


def _nearest(module: str, packages: Mapping[str, int]) -> str | None:
    return max((name for name in packages if lies_in(module, name)), key=len, default=None)


def _dotted(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _top(module: str) -> str:
    return module.split(".")[0]
