"""What a build context holds, and its digest as the official docker plugin forms it."""

import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

from docker.utils.build import exclude_paths

from localcloud.pulumi.plugins.resource import PluginError

_SPECIAL_BITS = ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t"))


def context_digest(context: Path, dockerfile: Path) -> str:
    """Return the digest of all files that the build can see: names, whole modes, contents.

    Byte for byte the official plugin's `contextDigest`: a file that its group may write is another
    one. Folders, times and owners do not count. Of a link its target's path counts.
    """
    if not context.is_dir():
        raise PluginError(f"The build context {context} is not a folder.")
    if not dockerfile.is_file():
        inside = context / dockerfile
        hint = f" Did you mean {inside}?" if inside.is_file() else ""
        raise PluginError(
            f"There is no Dockerfile at {dockerfile}; the path is taken from the project's "
            f"folder, not from the context.{hint}"
        )
    # The Dockerfile counts twice, first under one name and without a mode, wherever it lies.
    total = hashlib.sha256(_entry("Dockerfile", "-" * 10, dockerfile.read_bytes()))
    for name in seen_files(context):
        path = context / name
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            total.update(_entry(name, _written(mode), str(path.resolve()).encode()))
        elif stat.S_ISREG(mode):
            total.update(_entry(name, _written(mode), path.read_bytes()))
    return total.hexdigest()


def seen_files(context: Path) -> Iterator[str]:
    """Yield what is no folder and what `.dockerignore` leaves in, folder by folder."""
    ignore = context / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    names = exclude_paths(str(context), patterns)
    for name in sorted(names, key=lambda name: name.split("/")):
        path = context / name
        if path.is_symlink() or not path.is_dir():
            yield name


def _entry(name: str, mode: str, content: bytes) -> bytes:
    return name.encode() + mode.encode() + hashlib.sha256(content).digest() + b"\0"


def _written(mode: int) -> str:
    """Return a mode as Go writes it, which is not as `ls` does: `urwxr-xr-x`, `Lrwxrwxrwx`."""
    kind = "L" if stat.S_ISLNK(mode) else ""
    kind += "".join(letter for bit, letter in _SPECIAL_BITS if mode & bit)
    plain = stat.filemode(stat.S_IFREG | mode & 0o777)[1:]
    return (kind or "-") + plain
