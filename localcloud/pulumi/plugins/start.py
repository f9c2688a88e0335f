"""Start one stand-in plugin, as its launcher says: `start.py <module> [engine address]`."""

import importlib
import sys
from pathlib import Path

if __name__ == "__main__":
    # Started with -I, so that the engine's folder and environment decide nothing about imports.
    sys.path.insert(0, str(Path(__file__).parents[3]))
    importlib.import_module(f"localcloud.pulumi.plugins.{sys.argv.pop(1)}").main()
