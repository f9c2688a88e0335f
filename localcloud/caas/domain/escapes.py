"""Dollar signs of an entrypoint: `$$` stands for `$`, and a bare one breaks the deployment.

https://io.net/docs (deploy a container) asks for the doubled sign; which bare ones break is not
documented, so that here all do.
"""

from __future__ import annotations

from collections.abc import Iterable


class BareDollarError(ValueError):
    """A dollar sign stands alone."""


def unescaped(arguments: Iterable[str]) -> tuple[str, ...]:
    """Turn `$$` into `$`; raise BareDollarError for a single one."""
    return tuple(_one(argument) for argument in arguments)


def _one(argument: str) -> str:
    parts = argument.split("$$")
    if any("$" in part for part in parts):
        raise BareDollarError("Invalid interpolation in entrypoint: write $$ for a dollar sign")
    return "$".join(parts)
