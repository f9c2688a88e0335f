"""How each command ends, whatever comes up in it: what is said, and the exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import typer

from components.errors import TrainstackError
from runs.errors import EXIT_FAILED, EXIT_INTERRUPTED, RunsError
from runs.terminal.console import say


def ending_as_documented(
    command: Callable[..., None],
    *,
    comfort: str,
    place: Callable[[Mapping[str, Any]], AbstractContextManager[None]],
) -> Callable[..., None]:
    """Make foreseen errors and Ctrl-C end a command with a word and its documented exit code.

    `comfort` is what Ctrl-C leaves behind; within `place` messages know where the command looks.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        with place(kwargs):
            try:
                command(*args, **kwargs)
            except KeyboardInterrupt:
                say(f"\n{comfort}")
                raise typer.Exit(EXIT_INTERRUPTED) from None
            except RunsError as error:
                say(f"runs: {error}")
                raise typer.Exit(error.exit_code) from None
            except TrainstackError as error:
                say(f"runs: {error}")
                raise typer.Exit(EXIT_FAILED) from None

    return run
