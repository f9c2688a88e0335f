"""Each rule about imports can fail: small trees that break one rule apiece."""

from __future__ import annotations

from pathlib import Path

from tests.source_tree import (
    Import,
    against_layers,
    beside_layers,
    circles,
    crossings,
    foreign,
    imports_in,
    modules_in,
)


def read(root: Path, files: dict[str, str]) -> list[Import]:
    """Write a tree of modules and return its imports; places are its top folders."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return imports_in(modules_in(root, sorted(path.name for path in root.iterdir())))


def shown(imports: list[Import]) -> list[str]:
    return [str(one) for one in imports]


def test_an_import_is_read_wherever_it_stands_and_however_it_is_written(tmp_path: Path) -> None:
    imports = read(
        tmp_path,
        {
            "place/__init__.py": "from . import one",
            "place/one.py": "import json\n\ndef load():\n    from place.deep import two",
            "place/deep/__init__.py": "",
            "place/deep/two.py": "from ..one import load\nimport place.one",
        },
    )
    assert shown(imports) == [
        "place (line 1) imports place.one",
        "place.deep.two (line 1) imports place.one",
        "place.deep.two (line 2) imports place.one",
        "place.one (line 1) imports json",
        "place.one (line 4) imports place.deep.two",
    ]


def test_a_name_within_a_module_counts_as_an_import_of_the_module(tmp_path: Path) -> None:
    imports = read(tmp_path, {"a/one.py": "from a.two import Thing", "a/two.py": "Thing = 1"})
    assert [one.name for one in imports] == ["a.two"]


def test_a_crossing_that_is_not_allowed_is_named_with_its_line(tmp_path: Path) -> None:
    imports = read(
        tmp_path,
        {
            "here/one.py": "import there.open.wire\n\ndef f():\n    import there.closed",
            "there/open/wire.py": "",
            "there/closed.py": "",
        },
    )
    allowed = {"here": ["there.open"]}
    assert shown(crossings(imports, ["here", "there"], allowed)) == [
        "here.one (line 4) imports there.closed"
    ]


def test_a_crossing_for_types_only_is_one_too(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import there.closed"
    imports = read(tmp_path, {"here/one.py": text, "there/closed.py": ""})
    assert len(crossings(imports, ["here", "there"], {})) == 1


def test_a_name_that_only_begins_like_an_allowed_one_is_not_allowed(tmp_path: Path) -> None:
    imports = read(tmp_path, {"here/one.py": "import there.opener", "there/opener.py": ""})
    assert len(crossings(imports, ["here", "there"], {"here": ["there.open"]})) == 1


def test_a_package_of_the_registry_in_a_standard_library_package_is_found(tmp_path: Path) -> None:
    text = "import json\nfrom a.wire import two\nfrom boto3.session import Session\nimport a.other"
    imports = read(tmp_path, {"a/wire/one.py": text, "a/wire/two.py": "", "a/other.py": "import x"})
    assert [one.name for one in foreign(imports, "a.wire", [])] == ["boto3.session", "a.other"]
    assert [one.name for one in foreign(imports, "a.wire", ["boto3", "a.other"])] == []


def test_a_package_that_is_asked_for_its_types_only_is_not_loaded(tmp_path: Path) -> None:
    text = "import typing\nif typing.TYPE_CHECKING:\n    from mypy_boto3_s3 import S3Client"
    assert foreign(read(tmp_path, {"a/one.py": text}), "a", []) == []


def test_a_circle_is_found_once_and_whole(tmp_path: Path) -> None:
    imports = read(
        tmp_path,
        {
            "a/one.py": "import a.two",
            "a/two.py": "def late():\n    import a.three",
            "a/three.py": "from a import one",
            "a/outside.py": "import a.one",
        },
    )
    assert circles(imports) == ["a.one -> a.two -> a.three -> a.one"]


def test_a_circle_that_exists_for_the_type_checker_only_is_none(tmp_path: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a.one"
    assert circles(read(tmp_path, {"a/one.py": "import a.two", "a/two.py": text})) == []


def test_an_import_upwards_or_across_a_row_is_found_and_one_downwards_is_not(
    tmp_path: Path,
) -> None:
    imports = read(
        tmp_path,
        {
            "a/low/one.py": "import a.high.one",
            "a/left/one.py": "import a.right.one\nimport a.low.one",
            "a/right/one.py": "",
            "a/high/one.py": "import a.low.one\nimport a.left.one\nimport a.high.two",
            "a/high/two.py": "",
        },
    )
    rows = [["a.low"], ["a.left", "a.right"], ["a.high"]]
    assert shown(against_layers(imports, rows)) == [
        "a.left.one (line 1) imports a.right.one",
        "a.low.one (line 1) imports a.high.one",
    ]


def test_a_module_belongs_to_the_nearest_package_that_a_row_names(tmp_path: Path) -> None:
    imports = read(
        tmp_path,
        {"a/errors.py": "import a.top", "a/top.py": "import a.errors", "a/deep/one.py": ""},
    )
    assert shown(against_layers(imports, [["a"], ["a.top"]])) == ["a.errors (line 1) imports a.top"]


def test_a_package_for_itself_is_tied_to_nothing_beside_it_in_either_direction(
    tmp_path: Path,
) -> None:
    imports = read(
        tmp_path,
        {
            "a/alone/one.py": "import a.wire\nimport a.other\nimport a.alone.two",
            "a/alone/two.py": "",
            "a/other.py": "import a.wire\nimport a.alone.one",
            "a/wire.py": "",
        },
    )
    assert shown(beside_layers(imports, "a.alone", ["a.wire"])) == [
        "a.alone.one (line 2) imports a.other",
        "a.other (line 2) imports a.alone.one",
    ]
