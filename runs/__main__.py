"""Entry of `python -m runs`."""

from runs.cli import main

main()
