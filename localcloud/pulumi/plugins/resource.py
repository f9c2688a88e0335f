"""What a stand-in says about one type of resource: its inputs, and how it is made and unmade."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from container.contract.redacted import RedactedError

Shape = Mapping[str, Any] | list[Any] | None
"""What an input may hold: known keys with their shapes, [shape of each item], None for anything."""

Properties = dict[str, Any]

LAUNCHER = "TRAINSTACK_STAND_IN"
"""The variable in which a stand-in's launcher says where it lies."""


class PluginError(RedactedError):
    """Why an operation failed; the engine shows the message as it is, so it holds no secret."""


class InputError(PluginError):
    """An input that the real plugin refuses by name when it checks them."""

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class Call:
    """One operation that the engine asks for."""

    urn: str
    log: Callable[..., None] = lambda _text, **_how: None
    """log(text, warning=False, passing=False): passing lines show progress and are not kept."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    timeout_s: float = 0
    """0: as long as it takes."""

    @property
    def name(self) -> str:
        """Return the resource's name in the program."""
        return self.urn.rpartition("::")[2]


class Resource(ABC):
    """One type of resource. Its operations get and give plain values; secrets come in clear."""

    type: ClassVar[str]
    inputs: ClassVar[Mapping[str, Shape]]
    """Every input that is accepted; others are refused by name."""
    required: ClassVar[frozenset[str]] = frozenset()
    filled_in: ClassVar[frozenset[str]] = frozenset()
    """Inputs that the service chooses when the program does not: unset is then no change."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Inputs whose change makes a new resource."""
    secrets: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are secret whatever the inputs are."""
    unsettled: ClassVar[frozenset[str]] = frozenset()
    """Outputs that a preview of an update cannot know."""
    keeps_inputs_as: ClassVar[str] = ""
    """The secret output that holds all inputs, where the outputs do not repeat them one by one."""

    def check(self, call: Call, inputs: Properties) -> Properties:
        """Return the inputs with what is filled in before anything is made; UNKNOWN may occur.

        May raise InputError.
        """
        return inputs

    def compared(self, key: str, old: Any, new: Any) -> tuple[Any, Any]:
        """Return the two values of an input as they are to be compared."""
        return old, new

    def preview(self, inputs: Properties) -> Properties:
        """Return the outputs, besides the inputs, that are known before it is made."""
        return {}

    @abstractmethod
    def create(self, call: Call, inputs: Properties) -> tuple[str, Properties]:
        """Make it; return its ID and its outputs, which the inputs complete."""

    @abstractmethod
    def read(self, call: Call, id_: str, state: Properties) -> tuple[str, Properties] | None:
        """Return its ID and outputs as they are now, None when gone; an import has no state."""

    @abstractmethod
    def update(self, call: Call, id_: str, old: Properties, new: Properties) -> Properties:
        """Change it in place; return its outputs, which the inputs complete."""

    @abstractmethod
    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """Unmake it."""


def refusals(inputs: Any, shape: Shape, *, path: str = "") -> list[str]:
    """Name every input that the shape does not have."""
    if isinstance(shape, list):
        items = enumerate(inputs) if isinstance(inputs, list) else ()
        return [r for i, item in items for r in refusals(item, shape[0], path=f"{path}[{i}]")]
    if shape is None or not isinstance(inputs, dict):
        return []
    paths: list[str] = []
    for key, value in inputs.items():
        where = f"{path}.{key}" if path else key
        if key not in shape:
            paths.append(where)
        else:
            paths += refusals(value, shape[key], path=where)
    return paths
