"""The Docker daemon of this machine, and what the local cloud has on it."""
