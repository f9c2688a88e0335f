"""Names the image's files as git tracks them; run as a module it writes their list anew."""

from __future__ import annotations

import subprocess

from components.image_context import LIST
from tests import ROOT

CONTAINER = ROOT / "container"

NOT_IN_IMAGE = frozenset({LIST, "requirements.in"})
"""Tracked, and of no use on a machine: changing it must not make another image."""

HEADER = """\
# The image's files: everything is left out, then each is named, so that nothing but their content
# decides what is built. `make image-files` writes this list anew from what git tracks.
*
"""


def tracked() -> list[str]:
    """Return what git tracks of the image; raises where this is no checkout of git."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "."], cwd=CONTAINER, capture_output=True, text=True, check=True
    )
    return sorted({*done.stdout.split("\0")} - NOT_IN_IMAGE - {""})


def text() -> str:
    """Return the list as it should be."""
    return HEADER + "".join(f"!{name}\n" for name in tracked())


if __name__ == "__main__":
    (CONTAINER / LIST).write_text(text(), encoding="utf-8", newline="\n")
