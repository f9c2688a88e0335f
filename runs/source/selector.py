"""What the command line says about where to look; nothing is asked yet."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Selector:
    """What the command line says about where to look."""

    stack: str = ""
    bucket: str = ""
    prefix: str = ""
    run: str = ""
