"""The command stand-in: what a command gets, what is shown of it, and how it is ended."""

from __future__ import annotations

import asyncio

import pytest
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.provider import CreateRequest

from localcloud.pulumi.plugins.command_plugin import Command
from localcloud.pulumi.plugins.resource import Call, PluginError
from localcloud.pulumi.plugins.standin import StandIn

PASSES = {"passing": True}
"""Shown while a command runs, and gone from what stays: as the official plugin shows it."""


def test_a_command_gets_what_it_said_before() -> None:
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
        call = Call("a::b::c", lambda text, **how: lines.append(text) if how == PASSES else None)
        inputs = {"create": "echo out; echo err >&2", "logging": choice}
        Command().create(call, {k: v for k, v in inputs.items() if v})
        return sorted(lines)

    assert logged(None) == ["err", "out"]
    assert logged("stdout") == ["out"]
    assert logged("stderr") == ["err"]
    assert logged("none") == []
    with pytest.raises(PluginError, match="may be one of stdoutAndStderr, stdout, stderr, none"):
        Command().check(Call("a::b::c"), {"logging": "loud"})


def test_what_a_command_prints_is_no_secret_of_the_state_whatever_it_was_given() -> None:
    """As with the official plugin: nothing secret may ever be printed."""
    urn = "urn:pulumi:dev::scratch::command:local:Command::says"
    key = PropertyValue({"KEY": PropertyValue("PLANTED")}, is_secret=True)
    given = {"create": PropertyValue("echo heard; echo also >&2"), "environment": key}
    stand_in = StandIn("command", [Command()])
    made = asyncio.run(stand_in.create(CreateRequest(urn, given, 0, False))).properties
    assert {name for name, value in made.items() if value.is_secret} == {"environment"}
    assert (made["stdout"].value, made["stderr"].value) == ("heard", "also")


def test_a_command_over_its_time_is_ended_with_its_children() -> None:
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
