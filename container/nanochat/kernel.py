"""Puts Flash Attention 3 into the image, at one revision; run once, by the image's build.

nanochat has it fetched when training begins, from one person's repository, at whatever that holds
then. Here it is fetched at a revision, each file is held against the hash that the hub names it by,
and nanochat is told to take it from its folder: the machine asks nobody. Stands for itself, in
nanochat's Python.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = "varunneal/flash-attention-3"
PACKAGE = "flash_attention_3"
FOLDER = Path("/opt/flash-attention-3")
REVISION_FILE = "REVISION"
ATTENTION = Path("/opt/nanochat/nanochat/flash_attention.py")
READ_BYTES = 1 << 20
# The two ways in which the known commits ask for it.
_ASKED = re.compile(
    rf"(?:get_kernel\(['\"]{REPOSITORY}['\"]\))"
    rf"|(?<=hf_kernel = \"{REPOSITORY}\"\n)(\s*return )get_kernel\(hf_kernel\)"
)


class KernelError(Exception):
    """The kernel is not what was asked for, or nanochat would not find it."""


def bake(revision: str, *, sha256: str, folder: Path = FOLDER, attention: Path = ATTENTION) -> str:
    """Fetch, verify, place and announce the kernel; return the hash of all its files.

    `sha256` is what that hash must be, "" when nobody knows it yet. Raises KernelError, and
    whatever the hub's library raises.
    """
    hub: Any = importlib.import_module("huggingface_hub")
    kernels: Any = importlib.import_module("kernels.utils")
    with tempfile.TemporaryDirectory() as cache:
        patterns = [f"build/{variant}/*" for variant in kernels.build_variants()]
        snapshot = hub.snapshot_download(
            REPOSITORY, revision=revision, allow_patterns=patterns, cache_dir=cache
        )
        for blob in Path(cache).glob("*/blobs/*"):
            verify(blob)
        shutil.copytree(snapshot, folder)
    found = hash_of(folder)
    if sha256 not in ("", found):
        raise KernelError(f"its files have the hash {found}, wanted was {sha256}")
    try:
        kernels._find_kernel_in_repo_path(folder, PACKAGE)
    except FileNotFoundError as error:
        raise KernelError(f"it has no build for this PyTorch: {error}") from None
    source = attention.read_text("utf-8")
    attention.write_text(taken_from(folder, source=source), "utf-8")
    (folder / REVISION_FILE).write_text(f"{revision} sha256:{found}\n", "ascii")
    return found


def verify(blob: Path) -> None:
    """Hold a file against its name, which is its hash as the hub has it: SHA-256, or git's."""
    size = blob.stat().st_size
    is_git = len(blob.name) == 40
    digest = hashlib.sha1(b"blob %d\0" % size) if is_git else hashlib.sha256()  # noqa: S324
    with blob.open("rb") as content:
        while part := content.read(READ_BYTES):
            digest.update(part)
    if digest.hexdigest() != blob.name:
        raise KernelError(f"a file came with the hash {digest.hexdigest()}, not {blob.name}")


def hash_of(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of all files: what a revision is pinned by."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest = hashlib.sha256()
        with file.open("rb") as content:
            while part := content.read(READ_BYTES):
                digest.update(part)
        whole.update(f"{digest.hexdigest()}  {file.relative_to(folder).as_posix()}\n".encode())
    return whole.hexdigest()


def taken_from(folder: Path, *, source: str) -> str:
    """Return nanochat's module, taking the kernel from a folder instead of the hub."""
    local = (
        f'__import__("kernels").get_local_kernel(__import__("pathlib").Path("{folder}"), '
        f'"{PACKAGE}")'
    )
    changed, times = _ASKED.subn(lambda found: f"{found[1] or ''}{local}", source)
    if times != 1:
        raise KernelError(f"nanochat asks for it in {times} places that are known, must be 1")
    return changed


def main() -> int:
    """Bake what the environment names; 1 when it cannot be."""
    revision = os.environ["FA3_REVISION"]
    try:
        found = bake(revision, sha256=os.environ.get("FA3_SHA256", ""))
    except Exception as error:  # noqa: BLE001  # the library's errors have no common class
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}", file=sys.stderr)
        return 1
    print(f"Flash Attention 3 at {revision} is in the image, its files have sha256:{found}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
