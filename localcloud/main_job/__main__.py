"""Entry of `python -m localcloud.main_job`, which `make` calls."""

import sys

from container.contract import edge

_COMFORT = {
    "up": "Interrupted; nothing is lost, and what was rented goes on. `make up` goes on, "
    "`make down` gives back.",
    "down": "Interrupted; `make down` again goes on from here.",
    "purge": "Interrupted; `make purge` again goes on from here.",
}


def main() -> None:
    """Import the commands, which takes a second, and run one."""
    from localcloud.main_job.cli import app

    app(prog_name="python -m localcloud.main_job")


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    edge.run(main, program=f"make {command}".strip(), comfort=_COMFORT.get(command, "Interrupted."))
