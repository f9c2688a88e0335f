"""Copying artefacts: what goes where, in pieces, verified."""
