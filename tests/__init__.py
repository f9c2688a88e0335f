"""The tests: `unit/` mirrors the tree; the other folders need a server, an engine or Docker."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
