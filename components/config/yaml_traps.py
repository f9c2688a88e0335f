"""Values that YAML turned into others before this program saw them, found in the stack file; pure.

`0123456` is octal to Pulumi, which hands over 42798; a quoted one stays what it is. Told is only
what was handed over so: a value that came from elsewhere (`--config`) is none of the file's.
https://github.com/go-yaml/yaml#compatibility
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, cast, get_args

import yaml

from components.config.keys import PROJECT_NAMESPACE, StackKeys

_BASES = (("0x", 16), ("0o", 8), ("0b", 2), ("0", 8))
_NUMBERS = frozenset(
    name
    for name, one in StackKeys.model_fields.items()
    if {int, Decimal} & {one.annotation, *get_args(one.annotation)}
)
_TEXTS = frozenset(name for name, one in StackKeys.model_fields.items() if one.annotation is str)


@dataclass(frozen=True, kw_only=True)
class Trap:
    """A value as it stands in the file, and as it was handed over."""

    key: str  # with what is below it
    text: str
    became: str
    line: int

    @property
    def root(self) -> str:
        """The config key itself, without its namespace."""
        return self.key.split(".")[0].split("[")[0]


def traps(text: str, *, given: Mapping[str, str]) -> list[Trap]:
    """Return what YAML changed, of a stack file's text and the project's keys as handed over."""
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
    except (yaml.YAMLError, ValueError, RecursionError):
        return []  # the engine has read it, or another file
    config = _member(root, "config")
    if not isinstance(config, yaml.MappingNode):
        return []
    found: list[Trap] = []
    for key_node, node in cast("list[tuple[yaml.Node, yaml.Node]]", config.value):
        name = str(key_node.value).removeprefix(f"{PROJECT_NAMESPACE}:")
        if name not in given:
            continue
        if isinstance(node, yaml.ScalarNode):
            found += _scalar(node, given[name], key=name, number=name in _NUMBERS)
        else:
            found += _within(node, _json(given[name]), key=name)
    return found


def _within(node: yaml.Node, value: Any, *, key: str) -> Iterator[Trap]:
    """Walk a node and what was handed over for it side by side, as far as they are alike."""
    if isinstance(node, yaml.ScalarNode):
        last = key.rpartition(".")[2]
        is_number = isinstance(value, int | float) and last not in _TEXTS
        yield from _scalar(node, _text(value), key=key, number=is_number)
    elif isinstance(node, yaml.SequenceNode) and isinstance(value, list):
        items = cast("list[Any]", value)
        if len(items) == len(node.value):
            for index, (one, item) in enumerate(zip(node.value, items, strict=True)):
                yield from _within(one, item, key=f"{key}[{index}]")
    elif isinstance(node, yaml.MappingNode) and isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        for name_node, one in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            name = str(name_node.value)
            if name in members:
                yield from _within(one, members[name], key=f"{key}.{name}")
            elif isinstance(name_node, yaml.ScalarNode):
                for other in members:
                    yield from _scalar(name_node, other, key=f"{key}.{name}", number=False)


def _scalar(node: yaml.ScalarNode, became: str, *, key: str, number: bool) -> Iterator[Trap]:
    text = str(node.value)
    if node.style is not None or text == became or not _same(text, became):
        return
    if number and _decimal(text) == _decimal(became):
        return  # 05 and 1.50 are what they look like
    line = node.start_mark.line + 1 if node.start_mark else 0
    yield Trap(key=key, text=text, became=became, line=line)


def _same(text: str, became: str) -> bool:
    """Say whether YAML may have made the one of the other."""
    if became.endswith(" UTC"):  # a date becomes a moment
        return text[:10] == became[:10]
    made = _decimal(became)
    return made is not None and any(_alike(made, meaning) for meaning in _meanings(text))


def _meanings(text: str) -> Iterator[Decimal]:
    plain = text.replace("_", "").lower()
    sign, digits = (-1, plain[1:]) if plain[:1] == "-" else (1, plain.removeprefix("+"))
    for prefix, base in _BASES:
        if digits.startswith(prefix):
            try:
                yield Decimal(sign * int(digits[len(prefix) :] or "0", base))
            except ValueError:
                continue
    number = _decimal(plain)
    if number is not None:
        yield number
    if ":" in digits:  # YAML 1.1 counts such in sixties
        yield from _sixties(sign, digits)


def _sixties(sign: int, digits: str) -> Iterator[Decimal]:
    total = Decimal(0)
    for part in digits.split(":"):
        value = _decimal(part)
        if value is None:
            return
        total = total * 60 + value
    yield sign * total


def _alike(one: Decimal, other: Decimal) -> bool:
    # A number of more than 16 digits came through a float.
    return one == other or (abs(one) > 2**53 and float(one) == float(other))


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < 400 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _member(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            if key.value == name:
                return value
    return None
