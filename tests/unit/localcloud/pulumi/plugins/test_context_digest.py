"""The image of the docker stand-in before it is built: context digest, defaults, refusals."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import DiffRequest

from localcloud.pulumi.plugins.docker_plugin import Image
from localcloud.pulumi.plugins.resource import Call, PluginError
from localcloud.pulumi.plugins.standin import StandIn
from localcloud.pulumi.plugins.values import UNKNOWN, property_value


def values(**plain_values: Any) -> dict[str, PropertyValue]:
    return {key: property_value(value) for key, value in plain_values.items()}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY sub /sub\n")
    (tmp_path / "sub" / "file").write_text("one")
    (tmp_path / "notes").write_text("ignored")
    (tmp_path / ".dockerignore").write_text("# comment\nnotes\n**/__pycache__\n")
    return tmp_path


def digest(context: Path) -> str:
    inputs = {"imageName": "localhost/a", "build": {"context": str(context)}}
    return Image().check(Call("a::b::c"), inputs)["build"]["contextDigest"]


def test_the_context_digest_is_of_what_the_build_sees(context: Path) -> None:
    first = digest(context)
    (context / "notes").write_text("changed, and ignored")
    (context / "sub" / "__pycache__").mkdir()
    (context / "sub" / "__pycache__" / "x.pyc").write_text("x")
    assert digest(context) == first
    seen = {first}
    changes = (
        lambda: (context / "sub" / "file").write_text("two"),
        lambda: (context / "sub" / "file").chmod(0o755),
        lambda: (context / "sub" / "file").rename(context / "sub" / "other"),
        lambda: (context / "link").symlink_to("sub"),
        lambda: (context / "Dockerfile").write_text("FROM scratch\n"),
        lambda: (context / ".dockerignore").write_text(""),
    )
    for change in changes:
        change()
        now = digest(context)
        assert now not in seen
        seen.add(now)


def test_the_context_digest_is_the_official_plugins_byte_for_byte(tmp_path: Path) -> None:
    """The digest that a program in Go of the same steps made: its `FileMode.String()` is hashed."""
    files = (
        ("Dockerfile", "FROM scratch\nCOPY sub /sub\n", 0o644),
        ("sub/file", "one", 0o664),
        ("sub/run", "run", 0o775),
        ("sub/set", "s", 0o4755),
        ("sub.d/x", "two", 0o1644),
    )
    for name, content, mode in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(mode)
    assert digest(tmp_path) == ("0a6255cbfff045c4bde018e0da3dbc79e3a2f275f90cb1cbe1a1a00c9856f9d8")


@pytest.mark.parametrize("mode", [0o664, 0o640, 0o755, 0o600])
def test_the_whole_mode_of_a_file_counts_and_no_time_does(context: Path, mode: int) -> None:
    """https://github.com/pulumi/pulumi-docker-build/pull/979"""
    file = context / "sub" / "file"
    file.chmod(0o644)
    first = digest(context)
    os.utime(file, (1, 1))
    (context / "sub").chmod(0o700)
    assert digest(context) == first
    file.chmod(mode)
    assert digest(context) != first


def test_an_image_waits_for_an_unknown_build_and_settles_a_known_one(context: Path) -> None:
    call = Call("a::b::c")
    unknown = {"imageName": UNKNOWN, "build": {"context": str(context), "args": {"A": UNKNOWN}}}
    assert Image().check(call, unknown) == unknown
    known = Image().check(call, {"imageName": UNKNOWN, "build": {"context": str(context)}})
    assert known["build"]["platform"].startswith("linux/")


def test_a_wrong_path_or_name_of_an_image_says_which(context: Path) -> None:
    call = Call("a::b::c")
    with pytest.raises(PluginError, match="names no registry"):
        Image().check(call, {"imageName": "someone/image", "build": {"context": str(context)}})
    build = {"context": str(context), "dockerfile": "Dockerfile.no"}
    with pytest.raises(PluginError, match=r"no Dockerfile at Dockerfile\.no; the path is taken"):
        Image().check(call, {"imageName": "localhost/a", "build": build})
    with pytest.raises(PluginError, match="is not a folder"):
        Image().check(call, {"imageName": "localhost/a", "build": {"context": "/no/such"}})


def test_a_builder_that_the_stand_in_does_not_have_is_refused_by_name(context: Path) -> None:
    build = {"context": str(context), "builderVersion": "BuilderV1"}
    with pytest.raises(PluginError, match="builderVersion of c is BuilderV1"):
        Image().check(Call("a::b::c"), {"imageName": "localhost/a", "build": build})


def test_new_registry_credentials_are_no_reason_to_build_again() -> None:
    stand_in = StandIn("docker", [Image()])
    urn = "urn:pulumi:dev::scratch::docker:index/image:Image::image"
    old = {"imageName": "r/a", "registry": {"server": "r", "username": "u", "password": "1"}}
    new = {"imageName": "r/a", "registry": {"server": "r", "username": "v", "password": "2"}}
    request = DiffRequest(urn, "id", values(__inputs=old), values(**new), [])
    assert asyncio.run(stand_in.diff(request)).changes is False
    new["registry"] = {**old["registry"], "server": "other"}  # type: ignore[dict-item]
    request = DiffRequest(urn, "id", values(__inputs=old), values(**new), [])
    assert asyncio.run(stand_in.diff(request)).changes is True
