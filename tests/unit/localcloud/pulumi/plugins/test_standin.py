"""The shape that the stand-ins share, without an engine: values, diffs, refusals, previews."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import (
    CheckRequest,
    ConfigureRequest,
    CreateRequest,
    DiffRequest,
    DiffResponse,
    PropertyDiffKind,
    ReadRequest,
    UpdateRequest,
)
from pulumi.runtime import rpc

from localcloud.pulumi.plugins.resource import LAUNCHER, Call, PluginError, Properties, Resource
from localcloud.pulumi.plugins.standin import StandIn
from localcloud.pulumi.plugins.values import (
    UNKNOWN,
    plain,
    plain_map,
    property_value,
    with_marks_of,
)
from tests.unit.localcloud.pulumi.scratch_project import LOCAL_SHELL


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
    return StandIn("test", [Kettle()], config_keys=frozenset({"url"}), environment={**LOCAL_SHELL})


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


@pytest.mark.parametrize(
    "missing", [("TRAINSTACK_LOCAL_CLOUD",), ("CLOUDFLARE_BASE_URL",), tuple(LOCAL_SHELL)]
)
def test_a_stand_in_answers_nobody_outside_of_the_local_world(missing: tuple[str, ...]) -> None:
    """Of a paid stack: the real ones were told apart from it by their name alone."""
    shell = {name: value for name, value in LOCAL_SHELL.items() if name not in missing}
    stand_in = StandIn("test", [Kettle()], environment={**shell, LAUNCHER: "/home/plugins/it"})
    said = (
        rf"trainstack's stand-in for the test plugin.* never a paid one.*{', '.join(missing)} not "
        r"set\. For a paid stack delete /home/plugins/it"
    )
    with pytest.raises(PluginError, match=said):
        asyncio.run(stand_in.check_config(CheckRequest(URN, {}, {}, b"")))
    with pytest.raises(PluginError, match=said):
        asyncio.run(stand_in.configure(ConfigureRequest({}, {}, True, True)))
    (failure,) = asyncio.run(stand_in.check(CheckRequest(URN, {}, {}, b""))).failures or []
    assert re.search(said, failure.reason)


def test_a_stand_in_says_what_it_is_where_it_stays_to_be_read(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each update of a rehearsal: nobody is to take it for the official plugin."""
    said: list[tuple[str, str, dict[str, bool]]] = []
    monkeypatch.setattr(
        stand_in.log, "of", lambda urn: lambda text, **how: said.append((urn, text, how))
    )
    asyncio.run(stand_in.configure(ConfigureRequest({}, {}, True, True)))
    name = "test: trainstack's stand-in for the plugin, not the official one"
    assert said == [("", name, {})]


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
    assert {k for k, v in made.properties.items() if v.is_secret} == {"key", "password"}
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
