"""How each command ends, whatever comes up in it: what is said, and the exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import typer

from components.errors import TrainstackError
from runs import same_place
from runs.errors import EXIT_FAILED, EXIT_INTERRUPTED, RunsError
from runs.terminal.console import say


def ending_as_documented(
    command: Callable[..., None],
    *,
    name: str,
    comfort: str,
    takes: Mapping[str, Collection[str]],
) -> Callable[..., None]:
    """Make foreseen errors and Ctrl-C end a command with a word and its documented exit code.

    `comfort` is what Ctrl-C leaves behind; `takes` tells the parameters of each command.
    """

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        with same_place.typed(name, kwargs, takes=takes):
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
