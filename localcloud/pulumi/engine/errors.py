"""The one error of this folder: no engine could be had, and what to do about it."""

from container.contract.redacted import RedactedError


class EngineError(RedactedError):
    """No Pulumi engine; the message says what was tried, why it failed and what to do."""
