"""How a program of the rehearsal behaves as a process: signals, threads, repeatable torch."""

# pyright: basic, reportMissingImports=false
# torch, tiktoken and rustbpe are in the image only, and torch 1.13 has no type stubs.

from __future__ import annotations

import faulthandler
import os
import signal

import torch

SEED = 42
STOPPED = 128 + signal.SIGTERM  # exit code 143, as of a program that SIGTERM ended


class StopRequest:
    """Turns SIGTERM into a flag that the loop reads between steps; SIGUSR1 dumps all stacks.

    With `at_once` SIGTERM keeps its usual effect: evaluations have nothing to save.
    """

    def __init__(self, *, at_once: bool = False) -> None:
        self.asked = False
        if not at_once:
            signal.signal(signal.SIGTERM, self._ask)
        faulthandler.register(signal.SIGUSR1, all_threads=True)

    def _ask(self, *_: object) -> None:
        self.asked = True


def prepare() -> int:
    """Make torch repeatable; return the thread count, which is part of what must be repeated."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or 2)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    return threads
