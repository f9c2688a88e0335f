"""Entry of `python -m localcloud`."""

import sys

from container.contract import edge

_CLOUD = "Interrupted. `python -m localcloud start` goes on from here, `stop` clears away."
_COMFORT = {"start": _CLOUD, "stop": _CLOUD}


def main() -> None:
    """Import the commands, which takes a second, and run one."""
    from localcloud import cli

    cli.main()


if __name__ == "__main__":
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    edge.run(main, program="localcloud", comfort=_COMFORT.get(command, "Interrupted."))
