"""The operator's terminal: what `python -m runs` can tell and fetch about training runs."""
