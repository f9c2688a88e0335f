"""Entry of `python -m localcloud.pulumi.engine install | path`."""

from container.contract import edge


def main() -> None:
    """Import the commands and run one."""
    from localcloud.pulumi.engine.cli import app

    app(prog_name="python -m localcloud.pulumi.engine")


if __name__ == "__main__":
    edge.run(
        main, program="engine", comfort="Interrupted; the same again goes on, nothing is half made."
    )
