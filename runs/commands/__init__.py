"""The commands of `python -m runs`: one file each, named as the command."""
