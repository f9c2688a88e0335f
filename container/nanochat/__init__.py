"""What the nanochat recipes need beside nanochat's own programs.

Runs under nanochat's own Python (3.10 or newer) and imports nanochat inside functions only.
"""
