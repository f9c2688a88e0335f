"""A program named pulumi that keeps stacks in a file, for command lines that ask or tell it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PROGRAM = """#!{python} -SE
import json, sys
FILE = {file!r}
known = json.load(open(FILE))
words = [word for word in sys.argv[1:] if word != "--non-interactive"]
name = known["selected"]
if "--stack" in words:
    at = words.index("--stack")
    name = words[at + 1]
    del words[at : at + 2]
if words[:2] == ["stack", "ls"]:
    print(json.dumps([dict(name=one) for one in known["stacks"]]))
    sys.exit()
if name not in known["stacks"]:
    sys.exit("error: no stack named '%s' found" % name if name else "error: no stack selected")
stack = known["stacks"][name]
plain = [word for word in words if not word.startswith("--")]
if plain[:2] == ["stack", "output"]:
    secret = stack["secret_outputs"]
    shown = secret if "--show-secrets" in words else dict.fromkeys(secret, "[secret]")
    print(json.dumps(dict(stack["outputs"], **shown)))
elif plain[:2] == ["stack", "export"]:
    resources = [dict(urn="u", id=one) for one in stack["ids"]]
    print(json.dumps(dict(deployment=dict(resources=resources))))
elif plain == ["config"]:
    entries = stack["config"].items()
    print(json.dumps({{key: {{"secret": True}} if one["secret"] else one for key, one in entries}}))
elif plain[:2] == ["config", "get"]:
    print(json.dumps(stack["config"][plain[2]]))
elif plain[:2] == ["config", "set"]:
    value = plain[3] if len(plain) > 3 else sys.stdin.read().strip()
    stack["config"][plain[2]] = dict(value=value, secret="--secret" in words)
    json.dump(known, open(FILE, "w"))
else:
    sys.exit("error: unknown command " + " ".join(words))
"""


class PulumiDouble:
    """Stacks with outputs, config and ids of resources; `path` has the program on it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "stacks.json"
        self._stacks: dict[str, Any] = {}
        self.path = f"{folder}:/usr/bin:/bin"
        program = folder / "pulumi"
        program.write_text(_PROGRAM.format(python=sys.executable, file=str(self._file)))
        program.chmod(0o755)
        self.select("")

    def stack(
        self,
        name: str = "dev",
        *,
        outputs: Mapping[str, Any] | None = None,
        secret_outputs: Mapping[str, Any] | None = None,
        config: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        ids: Sequence[str] = (),
    ) -> None:
        """Make a stack, or make it anew."""
        plain = {key: {"value": value, "secret": False} for key, value in (config or {}).items()}
        hidden = {key: {"value": value, "secret": True} for key, value in (secrets or {}).items()}
        self._stacks[name] = {
            "outputs": dict(outputs or {}),
            "secret_outputs": dict(secret_outputs or {}),
            "config": {**plain, **hidden},
            "ids": list(ids),
        }
        self.select(self._selected)

    def select(self, name: str) -> None:
        """Let a command without `--stack` be about this stack; "" for none."""
        self._selected = name
        self._file.write_text(json.dumps({"selected": name, "stacks": self._stacks}))

    def secrets(self, name: str) -> list[str]:
        """Return the secrets of a stack's config as they are by now."""
        stacks: Any = json.loads(self._file.read_text())["stacks"]
        return [one["value"] for one in stacks[name]["config"].values() if one["secret"]]
