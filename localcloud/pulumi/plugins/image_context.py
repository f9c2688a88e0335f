"""What a build context holds, as the image build sees it: which files, and the hash of them."""

import hashlib
import stat
from pathlib import Path

from docker.utils.build import exclude_paths

from localcloud.pulumi.plugins.resource import PluginError

_PART = 1 << 20


def context_digest(context: Path, dockerfile: Path) -> str:
    """Return the hash of all that the build can see: names, kinds, modes, contents.

    Times and owners do not count, as they do not for the engine's build cache. Files that
    .dockerignore names do not count either.
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
    total = hashlib.sha256()
    _add(total, "Dockerfile", dockerfile)
    for name in sorted(seen_files(context)):
        _add(total, name, context / name)
    return total.hexdigest()


def seen_files(context: Path) -> set[str]:
    """Return the files and folders of the context that .dockerignore leaves in."""
    ignore = context / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.is_file() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return {name for name in exclude_paths(str(context), patterns) if name not in ("", ".")}


def _add(total: "hashlib._Hash", name: str, path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        kind, content = "link", str(path.readlink()).encode()
    elif stat.S_ISDIR(mode):
        kind, content = "folder", b""
    elif stat.S_ISREG(mode):
        kind, content = "program" if mode & stat.S_IXUSR else "file", _digest(path)
    else:
        return  # sockets and pipes do not travel
    total.update(f"{kind} {name}\0{len(content)}\0".encode())
    total.update(content)


def _digest(path: Path) -> bytes:
    own = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            own.update(part)
    return own.digest()
