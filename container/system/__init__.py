"""Processes and signals, as the kernel knows them."""
