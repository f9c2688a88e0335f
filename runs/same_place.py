"""Makes the commands that messages name look where the command that names them looked.

`python -m runs status` asks about the selected stack; to whoever typed `--bucket b` or
`--stack prod` it would answer about another one, and `pulumi destroy` would take another's machine.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

STACK_VARIABLE = "TRAINSTACK_STACK"  # names the stack where no option does; Pulumi knows it not
_OPTIONS = ("stack", "bucket", "prefix", "run")
_COMMAND = re.compile(
    r"(?P<runs>python -m runs (?P<name>[a-z]+))(?P<rest>[^`\n;,.]*)"
    r"|(?P<pulumi>pulumi (?:up|destroy|refresh|preview|cancel|config (?:set|rm))\b)(?! --stack)"
)


@dataclass(frozen=True, kw_only=True)
class _Typed:
    """One command line: what it said about where to look, and which of it each command takes."""

    name: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    takes: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])


_NOTHING = _Typed()
_typed = ContextVar("_typed", default=_NOTHING)


@contextmanager
def typed(
    name: str, options: Mapping[str, str], *, takes: Mapping[str, Collection[str]]
) -> Generator[None]:
    """Remember within what a command was told of where to look, by option without its dashes.

    `takes` tells the parameters of each command.
    """
    said = {option: options[option] for option in _OPTIONS if options.get(option)}
    before = _typed.set(_Typed(name=name, options=said, takes=takes))
    try:
        yield
    finally:
        _typed.reset(before)


def in_same_place(text: str) -> str:
    """Return a text with the place added to each command in it that says none."""
    return _COMMAND.sub(_completed, text)


def _completed(match: re.Match[str]) -> str:
    here = _typed.get()
    if match["pulumi"]:
        stack = here.options.get("stack", "")
        if not stack and "bucket" not in here.options:
            stack = os.environ.get(STACK_VARIABLE, "").strip() if here.name else ""
        return match["pulumi"] + _said("stack", stack)
    name, rest = match["name"], match["rest"]
    wanted = {option: v for option, v in here.options.items() if option in here.takes.get(name, ())}
    if "bucket" in wanted and name != here.name:
        wanted.pop("stack", None)  # only `reap` takes both
    said = {option for option in _OPTIONS if f"--{option} " in rest}
    if said & {"run", "prefix"}:
        said |= {"run", "prefix"}
    missing = "".join(_said(option, v) for option, v in wanted.items() if option not in said)
    return match["runs"] + missing + rest


def _said(option: str, value: str) -> str:
    return f" --{option} {shlex.quote(value)}" if value else ""
