"""Keeps secrets out of the engine's debug log and event stream, where this SDK writes them."""

from __future__ import annotations

from typing import Any

from pulumi import log

PROPERTIES = ", props="


def hide_properties() -> None:
    """Cut serialized properties, secrets in clear among them, from what the SDK logs for debugging.

    Mended upstream in pulumi/pulumi#24479 (August 2026), in SDKs later than 3.259.0: delete this
    module with the next SDK.
    """
    tell = log.debug

    def debug(msg: str, *words: Any, **named: Any) -> None:
        tell(msg.partition(PROPERTIES)[0], *words, **named)

    log.debug = debug
