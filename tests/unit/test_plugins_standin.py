"""The shape that the stand-ins share, without an engine: values, diffs, refusals, previews."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckRequest,
    CreateRequest,
    DiffRequest,
    DiffResponse,
    PropertyDiffKind,
    ReadRequest,
    UpdateRequest,
)
from pulumi.runtime import rpc

from localcloud.plugins.command_plugin import Command
from localcloud.plugins.docker_plugin import Image
from localcloud.plugins.install import PLUGINS, PluginInstallError, install_plugins, launcher
from localcloud.plugins.resource import Call, PluginError, Properties, Resource
from localcloud.plugins.standin import StandIn
from localcloud.plugins.values import UNKNOWN, plain, plain_map, property_value, with_marks_of


class Kettle(Resource):
    """A resource of the test's own."""

    type: ClassVar[str] = "test:index:Kettle"
    inputs: ClassVar[Mapping[str, Any]] = {
        "name": None,
        "litres": None,
        "key": None,
        "lid": {"colour": None},
        "size": None,
    }
    required: ClassVar[frozenset[str]] = frozenset({"name"})
    filled_in: ClassVar[frozenset[str]] = frozenset({"size"})
    replaces: ClassVar[frozenset[str]] = frozenset({"name"})
    secrets: ClassVar[frozenset[str]] = frozenset({"password"})
    secret_if_inputs: ClassVar[frozenset[str]] = frozenset({"steam"})
    unsettled: ClassVar[frozenset[str]] = frozenset({"steam"})

    def preview(self, inputs: Properties) -> Properties:
        return {"size": inputs.get("size", "small")}

    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        return "k1", {"size": "small", "steam": "much", "password": "p", "nothing": None}

    def read(self, call: Call, id_: str, state: Properties) -> tuple[str, Properties] | None:
        if id_ == "gone":
            return None
        return id_, {"name": "found", "size": "large", "litres": 3}

    def update(self, call: Call, id_: str, old: Properties, new: Properties) -> Properties:
        return {"size": old["size"], "steam": "less", "password": old["password"]}

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        pass


URN = "urn:pulumi:dev::scratch::test:index:Parent$test:index:Kettle::kettle"


def values(**plain_values: Any) -> dict[str, PropertyValue]:
    return {key: property_value(value) for key, value in plain_values.items()}


def secret(value: str) -> PropertyValue:
    return PropertyValue(value, is_secret=True)


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn("test", [Kettle()], config_keys=frozenset({"url"}))


def diff(stand_in: StandIn, old: dict[str, Any], new: dict[str, Any]) -> DiffResponse:
    request = DiffRequest(URN, "k1", values(**old), values(**new), [])
    return asyncio.run(stand_in.diff(request))


def test_values_survive_the_way_there_and_back() -> None:
    value = {"a": [1, 2.5, True, "x", {"b": None}], "unknown": UNKNOWN}
    there = property_value(value)
    assert plain(there) == {"a": [1, 2.5, True, "x", {}], "unknown": UNKNOWN}
    assert there.value["unknown"].value == rpc.UNKNOWN  # type: ignore[index]


def test_secret_marks_stay_where_they_were() -> None:
    model = PropertyValue({"open": PropertyValue("o"), "deep": PropertyValue([secret("s")])})
    marked = with_marks_of({"open": "O", "deep": ["S", "new"], "more": 1}, model)
    assert plain(marked) == {"open": "O", "deep": ["S", "new"], "more": 1}
    assert [v.is_secret for v in marked.value["deep"].value] == [True, False]  # type: ignore[index]
    assert not marked.is_secret


def test_unknown_inputs_are_refused_by_their_paths(stand_in: StandIn) -> None:
    inputs = values(name="x", lid={"colour": "red", "hinge": 1}, spout=2)
    with pytest.raises(PluginError, match=r"does not know the inputs lid\.hinge, spout\. It takes"):
        asyncio.run(stand_in.check(CheckRequest(URN, {}, inputs, b"")))


def test_a_refusal_never_shows_a_value(stand_in: StandIn) -> None:
    inputs = {"name": PropertyValue("x"), "spout": secret("PLANTED")}
    with pytest.raises(PluginError) as refusal:
        asyncio.run(stand_in.check(CheckRequest(URN, {}, inputs, b"")))
    assert "PLANTED" not in str(refusal.value)


def test_a_missing_input_is_named(stand_in: StandIn) -> None:
    with pytest.raises(PluginError, match="needs the input name"):
        asyncio.run(stand_in.check(CheckRequest(URN, {}, values(litres=1), b"")))


def test_a_type_without_stand_in_is_named(stand_in: StandIn) -> None:
    urn = "urn:pulumi:dev::scratch::test:index:Teapot::pot"
    with pytest.raises(PluginError, match="has no test:index:Teapot; it has test:index:Kettle"):
        asyncio.run(stand_in.check(CheckRequest(urn, {}, {}, b"")))


def test_provider_settings_are_taken_or_refused_by_name(stand_in: StandIn) -> None:
    asyncio.run(stand_in.check_config(CheckRequest(URN, {}, values(url="u", version="1"), b"")))
    with pytest.raises(PluginError, match="the provider setting tempo; it takes url, version"):
        asyncio.run(stand_in.check_config(CheckRequest(URN, {}, values(tempo="u"), b"")))


def test_nothing_changed_is_no_change(stand_in: StandIn) -> None:
    state = {"name": "n", "litres": 2, "lid": {"colour": "red"}, "size": "s", "steam": "much"}
    answer = diff(stand_in, state, {"lid": {"colour": "red"}, "litres": 2.0, "name": "n"})
    assert (answer.changes, answer.replaces, answer.detailed_diff) == (False, [], {})


def test_each_difference_has_its_path_and_kind(stand_in: StandIn) -> None:
    answer = diff(
        stand_in,
        {"name": "n", "litres": [1, 2], "lid": {"colour": "red"}},
        {"name": "m", "litres": [1, 3, 4], "key": UNKNOWN},
    )
    assert {path: found.kind for path, found in answer.detailed_diff.items()} == {
        "name": PropertyDiffKind.UPDATE_REPLACE,
        "litres[1]": PropertyDiffKind.UPDATE,
        "litres[2]": PropertyDiffKind.ADD,
        "lid": PropertyDiffKind.DELETE,
        "key": PropertyDiffKind.ADD,
    }
    assert (answer.changes, answer.replaces) == (True, ["name"])
    assert answer.diffs == ["key", "lid", "litres", "name"]


def test_create_keeps_input_secrets_and_marks_outputs(stand_in: StandIn) -> None:
    properties = {"name": PropertyValue("n"), "key": secret("k")}
    made = asyncio.run(stand_in.create(CreateRequest(URN, properties, 0, False)))
    assert made.resource_id == "k1"
    assert {k for k, v in made.properties.items() if v.is_secret} == {"key", "password", "steam"}
    assert "nothing" not in made.properties


def test_a_preview_leaves_out_what_is_not_known_yet(stand_in: StandIn) -> None:
    made = asyncio.run(stand_in.create(CreateRequest(URN, values(name=UNKNOWN), 0, True)))
    assert made.resource_id == ""
    assert plain_map(made.properties) == {"name": UNKNOWN, "size": "small"}


def test_a_preview_of_an_update_knows_what_stays(stand_in: StandIn) -> None:
    olds = values(name="n", litres=1, size="small", steam="much") | {"password": secret("p")}
    request = UpdateRequest(URN, "k1", olds, values(name="n"), 0, [], True)
    properties = asyncio.run(stand_in.update(request)).properties
    assert plain_map(properties) == {
        "name": "n",
        "size": "small",
        "steam": UNKNOWN,
        "password": "p",
    }
    assert properties["password"].is_secret


def test_a_read_finds_drift_and_keeps_what_is_told_once(stand_in: StandIn) -> None:
    state = values(name="n", litres=1, steam="much") | {"password": secret("p")}
    found = asyncio.run(stand_in.read(ReadRequest(URN, "k1", state, values(name="n"))))
    assert plain_map(found.properties) == {
        "name": "found",
        "size": "large",
        "litres": 3,
        "password": "p",
    }
    assert plain_map(found.inputs) == {"name": "n"}


def test_an_import_gets_its_inputs_from_what_is_there(stand_in: StandIn) -> None:
    found = asyncio.run(stand_in.read(ReadRequest(URN, "k1", {}, {})))
    assert plain_map(found.inputs) == {"name": "found", "size": "large", "litres": 3}


def test_gone_is_an_answer_to_a_refresh_and_an_error_to_an_import(stand_in: StandIn) -> None:
    gone = asyncio.run(stand_in.read(ReadRequest(URN, "gone", values(name="n"), values(name="n"))))
    assert not gone.resource_id
    with pytest.raises(PluginError, match="There is no test:index:Kettle with the ID gone"):
        asyncio.run(stand_in.read(ReadRequest(URN, "gone", {}, {})))


def test_a_command_gets_what_it_said_before(tmp_path: Path) -> None:
    call, command = Call("a::b::c"), Command()
    id_, outputs = command.create(call, {"create": "echo one; echo two >&2"})
    assert id_.startswith("c") and outputs == {"stdout": "one", "stderr": "two"}
    inputs = {"update": "echo $PULUMI_COMMAND_STDOUT-$PULUMI_COMMAND_STDERR"}
    assert command.update(call, id_, outputs, inputs)["stdout"] == "one-two"
    inputs["addPreviousOutputInEnv"] = False  # type: ignore[assignment]
    assert command.update(call, id_, outputs, inputs)["stdout"] == "-"


def test_a_command_logs_what_it_is_told_to() -> None:
    def logged(choice: str | None) -> list[str]:
        lines: list[str] = []
        call = Call("a::b::c", lambda text, **_how: lines.append(text))
        inputs = {"create": "echo out; echo err >&2", "logging": choice}
        Command().create(call, {k: v for k, v in inputs.items() if v})
        return sorted(lines)

    assert logged(None) == ["err", "out"]
    assert logged("stdout") == ["out"]
    assert logged("stderr") == ["err"]
    assert logged("none") == []
    with pytest.raises(PluginError, match="may be one of stdoutAndStderr, stdout, stderr, none"):
        Command().check(Call("a::b::c"), {"logging": "loud"})


def test_a_command_over_its_time_is_ended_with_its_children(tmp_path: Path) -> None:
    inputs = {"create": "echo begun; sleep 600 & wait"}
    with pytest.raises(PluginError, match=r"not done within 1 s.*\nbegun"):
        Command().create(Call("a::b::c", timeout_s=1), inputs)


def test_a_cancelled_command_ends() -> None:
    call = Call("a::b::c")
    call.cancelled.set()
    with pytest.raises(PluginError, match="cancelled: running 'sleep 600'"):
        Command().create(call, {"create": "sleep 600"})


def test_a_command_without_its_program_says_so() -> None:
    with pytest.raises(PluginError, match="No such file"):
        Command().create(Call("a::b::c"), {"create": "x", "interpreter": ["/no/such/shell"]})


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


def test_an_image_waits_for_an_unknown_build_and_settles_a_known_one(context: Path) -> None:
    call = Call("a::b::c")
    unknown = {"imageName": UNKNOWN, "build": {"context": str(context), "args": {"A": UNKNOWN}}}
    assert Image().check(call, unknown) == unknown
    assert Image().preview(unknown) == {}
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


def test_new_registry_credentials_are_no_reason_to_build_again() -> None:
    stand_in = StandIn("docker", [Image()])
    urn = "urn:pulumi:dev::scratch::docker:index/image:Image::image"
    old = {"imageName": "r/a", "registry": {"server": "r", "username": "u", "password": "1"}}
    new = {"imageName": "r/a", "registry": {"server": "r", "username": "v", "password": "2"}}
    request = DiffRequest(urn, "id", values(**old), values(**new), [])
    assert asyncio.run(stand_in.diff(request)).changes is False
    new["registry"] = {**old["registry"], "server": "other"}  # type: ignore[dict-item]
    request = DiffRequest(urn, "id", values(**old), values(**new), [])
    assert asyncio.run(stand_in.diff(request)).changes is True


def test_plugins_are_never_installed_into_the_usual_home() -> None:
    with pytest.raises(PluginInstallError, match="PULUMI_HOME is not set"):
        install_plugins("pulumi", {})


def test_an_engine_that_refuses_a_plugin_is_quoted(tmp_path: Path) -> None:
    engine = tmp_path / "pulumi"
    engine.write_text("#!/bin/sh\necho 'the disk is full' >&2\nexit 1\n")
    engine.chmod(0o755)
    with pytest.raises(PluginInstallError, match="the disk is full"):
        install_plugins(engine, {"PULUMI_HOME": str(tmp_path / "home")})


def test_stand_ins_say_what_they_are_on_their_first_line() -> None:
    for plugin in PLUGINS:
        assert "stand-in" in launcher(plugin).splitlines()[1].lower()
        source = Path(__file__).parents[2] / "localcloud" / "plugins" / f"{plugin.module}.py"
        assert source.read_text().startswith(f'"""A stand-in for the {plugin.name} plugin')
        assert f'VERSION = "{plugin.version}"' in source.read_text()
