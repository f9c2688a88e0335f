"""Entry of `python -m benchmarks`."""

from container.contract import edge


def main() -> None:
    """Import what measures, and measure."""
    from benchmarks import cli

    cli.run()


if __name__ == "__main__":
    edge.run(main, program="benchmarks", comfort="Interrupted; what was started is stopped.")
