"""The one command that a refusal prints for its user to carry out."""

from __future__ import annotations

import re
from typing import Final

_COMMAND: Final = re.compile(
    r"(?:[A-Z][A-Z0-9_]*=\S+ +)*(?:pulumi|python -m runs) +[a-z]\S*(?: +[^`\n]*)?"
)
_PROSE: Final = re.compile(
    r"(?:[.;:)] .*|, .*| (?:again|looks|waits|gives|shows|lists|and|to|first|or|which|then)\b.*"
    r"|[.,;:)]+\Z)"
)
# Says how to delete what was kept, or how to set a key that is set: no way out of a refusal.
_NO_WAY_OUT: Final = ("python -m runs rm", "pulumi config set --secret")
# What follows a refusal anyway: a command that does something else says more.
_PLAIN: Final = ("pulumi up", "pulumi up --yes")


def of(output: str) -> str:
    """Return the command of an output's refusal; "" when it prints none.

    In backticks a command ends with them; else at the end of its line or sentence.
    """
    text = _errors(output)
    quoted = [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", text)]
    found = [one for one in quoted if _COMMAND.fullmatch(one)]
    for line in re.sub(r"`[^`]*`", "", text).splitlines():
        found += [_PROSE.sub("", match[0]).strip() for match in _COMMAND.finditer(line)]
    ways = [one for one in found if not one.startswith(_NO_WAY_OUT)]
    special = [one for one in ways if one not in _PLAIN]
    return (special or ways or [""])[0]


def _errors(output: str) -> str:
    """Return what stands from each "error:" to the end of its paragraph; all when there is none."""
    kept: list[str] = []
    within = False
    for line in output.splitlines():
        within = "error:" in line or (within and bool(line.strip()))
        if within:
            kept.append(line)
    return "\n".join(kept) or output
