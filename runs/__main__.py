"""Entry of `python -m runs`."""

from container.contract import edge


def _main() -> None:
    from runs.cli import main

    main()


if __name__ == "__main__":
    edge.run(_main, program="runs", comfort="Interrupted; no run was touched.")
