"""Which files a `.dockerignore` leaves out of a build context; pure."""

from __future__ import annotations

import re


class Ignored:
    """The patterns of a `.dockerignore`: the last that matches a path or a folder above it decides.

    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """

    def __init__(self, lines: list[str]) -> None:
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for line in lines:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            keep = text.startswith("!")
            self._rules.append((keep, _pattern(text.lstrip("!").strip("/"))))

    def matches(self, name: str) -> bool:
        """Tell whether the build leaves out this file, named relative to the context."""
        parts = name.split("/")
        above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        ignored = False
        for keep, pattern in self._rules:
            if any(pattern.fullmatch(path) for path in above):
                ignored = not keep
        return ignored


def _pattern(text: str) -> re.Pattern[str]:
    out = ""
    index = 0
    while index < len(text):
        if text.startswith("**/", index):
            out, index = out + "(?:.*/)?", index + 3
        elif text.startswith("**", index):
            out, index = out + ".*", index + 2
        elif text[index] == "*":
            out, index = out + "[^/]*", index + 1
        elif text[index] == "?":
            out, index = out + "[^/]", index + 1
        else:
            out, index = out + re.escape(text[index]), index + 1
    return re.compile(out)
