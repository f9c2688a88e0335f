"""Loaded by every Python process of a stage: SIGUSR1 prints the stacks of all threads."""

import faulthandler
import signal

faulthandler.register(signal.SIGUSR1, all_threads=True)
