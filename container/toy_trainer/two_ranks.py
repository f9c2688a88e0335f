"""Starts two ranks of a program on the processor, as torchrun does on GPUs; their worst exit code.

torchrun itself fails with Debian's PyTorch 1.13 under Python 3.11: it loses a flag that is 0.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

RANKS = 2


def main(module: str) -> int:
    """Run the module once a rank, all on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(RANKS)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(RANKS)
    ]
    return max(abs(one.wait()) for one in ranks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
