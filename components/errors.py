"""The base of every error that this program raises on purpose; no decision of its own."""

from __future__ import annotations

from container.contract.redacted import RedactedError


class TrainstackError(RedactedError):
    """Something failed in a foreseen way: the message says what, why, and what to do.

    It holds no secret, no response body and no address with a key in it, and is shown without
    a traceback.
    """
