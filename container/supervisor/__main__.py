"""`python -m container.supervisor`, the image's entry.

Exit codes: 0 after SIGTERM, 75 when another container took the run over (started again it waits),
64 for an unusable environment.
"""

from __future__ import annotations

import os
import sys

from container.contract.environment import NAMES, READ_NAMES, BadEnvironmentError, RunEnvironment
from container.contract.pasted import cleaned_all
from container.supervisor.bare import as_found, is_bare
from container.supervisor.supervisor import Supervisor
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
    supervisor = Supervisor(environment, process_env=env)
    return with_signals(supervisor.run, on_signal=supervisor.request_stop)


if __name__ == "__main__":
    sys.exit(main())
