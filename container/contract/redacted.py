"""Texts without the secrets that stand in the addresses in them; pure, standard library only."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

MARK = "***"

_END = r"\s\"'<>`"
_SLASHES = r":\\?/\\?/"  # JSON may escape a slash
_SECRET_NAME = re.compile(
    r"token|key|secret|sig\b|signature|passw|pwd|passphrase|auth(?!or)|credential|session|jwt|bearer",
    re.IGNORECASE,
)
# An unescaped slash in a password ends the authority too early: what follows the first colon and is
# no port belongs to the password, up to the last @.
_LOOSE = re.compile(
    rf"({_SLASHES})[^/?#@:{_END}]*:(?!\d*(?:[/?#\\,;:)\]}}{_END}]|\Z))[^{_END}]*@(?=[^@{_END}])"
)
_USER = re.compile(rf"({_SLASHES})([^/?#{_END}]*)@")
_WITHOUT_SCHEME = re.compile(
    rf"(?<![^{_END}=(,\[{{])[^/:@=({_END}]+:[^/@{_END}]+@(?!sha\d+:)(?=[A-Za-z\[]|\d+\.)"
)
_ENCODED = re.compile(rf"(%3A%2F%2F)[^&/{_END}]*?%40", re.IGNORECASE)
_QUERY = re.compile(rf"([?&#]|&amp;|%3F|%26)([^=&?#{_END}]{{1,100}}?)(=|%3D)([^&#{_END}]+)", re.I)


def without_secrets(text: str) -> str:
    """Return the text with every user, password and secret parameter of an address hidden.

    The user goes too: often it is a token. Only the `git` of an ssh address is left.
    """
    if "@" in text or "%40" in text:
        text = _LOOSE.sub(rf"\1{MARK}@", text)
        text = _USER.sub(_without_user, text)
        text = _WITHOUT_SCHEME.sub(f"{MARK}@", text)
        text = _ENCODED.sub(rf"\1{MARK}%40", text)
    if "=" in text or "%3" in text:
        text = _QUERY.sub(_without_value, text)
    return text


def has_secrets(address: str) -> bool:
    """Say whether something in the address must not be shown."""
    return without_secrets(address) != address


class RedactedError(Exception):
    """The base of errors whose message people read: no secret of an address is left in it."""

    def __init__(self, *words: object) -> None:
        super().__init__(
            *(without_secrets(word) if isinstance(word, str) else word for word in words)
        )


def _without_user(match: re.Match[str]) -> str:
    user = match[2]
    return match[0] if user in ("git", MARK) else f"{match[1]}{MARK}@"


def _without_value(match: re.Match[str]) -> str:
    name = unquote_plus(match[2])
    if not _SECRET_NAME.search(name):
        return match[0]
    return f"{match[1]}{match[2]}{match[3]}{MARK}"
