"""`python -m container.supervisor`, the image's entry.

Exit codes: 0 after SIGTERM, 75 when another container took the run over (started again it waits),
64 for an unusable environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from container.contract.environment import NAMES, READ_NAMES, BadEnvironmentError, RunEnvironment
from container.contract.pasted import cleaned_all
from container.supervisor.bare import as_found, is_bare
from container.supervisor.supervisor import AGAIN, Supervisor
from container.system.process_group import hide_environment
from container.system.stop import with_signals

EX_USAGE = 64


def main() -> int:
    """Start the supervisor from the process's environment."""
    hide_environment()
    try:
        env = cleaned_all(os.environ, only=READ_NAMES)
        environment = RunEnvironment.from_env(env)
        if is_bare(env):
            environment = as_found(environment, say=sys.stdout.write)
            env[NAMES["access_token"]] = environment.access_token  # masked in logs by its value
    except BadEnvironmentError as error:
        sys.stderr.write(f"trainstack: {error}\n")
        return EX_USAGE
    lives = Lives(lambda: Supervisor(environment, process_env=env))
    return with_signals(lives.run, on_signal=lives.request_stop)


class Lives:
    """One supervisor, and another after each that is to go on in the same process."""

    def __init__(self, make: Callable[[], Supervisor]) -> None:
        self._make = make
        self._now = make()
        self._asked_to_stop = False

    def request_stop(self) -> None:
        """Ask for an orderly end; returns at once."""
        self._asked_to_stop = True
        self._now.request_stop()

    def run(self) -> int:
        """Live until asked to stop; return the exit code."""
        while (code := self._now.run()) == AGAIN:
            self._now = self._make()
            if self._asked_to_stop:
                self._now.request_stop()
        return code


if __name__ == "__main__":
    sys.exit(main())
