"""What a failed build or push of the image means, read off the daemon's words; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from container.contract.redacted import without_secrets

_STEP = re.compile(
    r"(?:executor failed running \[(?P<plain>.*?)\]|process \"(?P<quoted>.*?)\" did not complete"
    r" successfully): exit code: (?P<code>\d+)",
    re.DOTALL,
)
_SENTENCE = re.compile(r'echo ((?:"(?:[^"\\]|\\.)*"\s*)+)>&2')
_VALUE = re.compile(r"\$\{?(\w+)(?::-[^}]*)?\}?")
_COMMAND = re.compile(r"\$\([^)]*\)")
_WARNING = "WARNING"  # of a step that goes on
_PART = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SHELL = "/bin/sh -c "
_SHOWN = 60

_CAUSES: dict[str, str] = {
    r"exec format error": "its programs are of linux/amd64, which this machine does not run; see "
    "`python -m runs doctor`",
    r"failed to read downloaded context": "this engine's containerd store is at fault; see "
    "`python -m runs doctor`",
    r"no space left on device": "the disk of the Docker engine is full; `docker system df` tells "
    "of what",
    r"docker daemon|docker engine|docker\.sock": "no Docker engine lets this user in; see "
    "`python -m runs doctor`",
    r"unauthorized|authentication|denied|no basic auth|insufficient_scope|\bEOF\b": "a registry "
    "refused the base image or the push; `python -m runs doctor` tries the login",
    r"(?:Head \"|source metadata for )(?P<what>[^\s\"]+[^\s\":])": "its base could not be fetched "
    "({what}); see that this machine reaches it, or take a base of a mirror",
}


def explain(errors: Sequence[str], *, image: str, by_hand: str) -> str:
    """Return one message for the errors of building or pushing `image`.

    `by_hand` is the command that shows all that the build says.
    """
    said = without_secrets("\n".join(errors))
    why = _step(said) or _cause(said) or _first_line(said)
    return f"The image {image} was not made: {why}. All that a build says: `{by_hand}`"


def _step(said: str) -> str:
    found = _STEP.search(said)
    if found is None or "exec format error" in said:
        return ""
    command = found["plain"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "")
    command = command.removeprefix(_SHELL)
    sentences = [" ".join(_PART.findall(words)) for words in _SENTENCE.findall(command)]
    sentences = [one for one in sentences if not one.startswith(_WARNING)]
    if sentences:
        # The step's own words, that the docker plugin shows only while they pass. A value that only
        # the step knew is told by its name.
        words = _COMMAND.sub("another one", ", or ".join(sentences))
        return _VALUE.sub(r"\1", words)
    shown = " ".join(command.split())
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return f"its step `{shown}` ended with exit code {found['code']}"


def _cause(said: str) -> str:
    for pattern, words in _CAUSES.items():
        if found := re.search(pattern, said, re.IGNORECASE):
            return words.format(**found.groupdict())
    return ""


def _first_line(said: str) -> str:
    return next((line.strip() for line in said.splitlines() if line.strip()), "no reason was given")
