"""The image's build context: exactly the files that a list names, the same whoever writes it.

The official docker plugin hashes names, bytes and whole file modes of what the folder holds. A
clone under another umask, an archive, a checkout with CRLF or an editor's backup would each be
another image, and another image another machine. So what is built is not the source folder, but a
copy of the listed files with fixed modes and line ends, in a folder of its own.
https://github.com/pulumi/pulumi-docker-build/pull/979
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from components.errors import TrainstackError

LIST = ".dockerignore"
"""Also what `docker build` by hand goes by: everything is left out, then each file is named."""

FILE_MODE = 0o644
SCRIPT_MODE = 0o755
FOLDER_MODE = 0o755

_CARRIAGE = b"\r\n"


class ImageContextError(TrainstackError):
    """The image's files cannot be read, or not be copied, as they must be."""


def listed(source: Path) -> tuple[str, ...]:
    """Return the names of the image's files, relative to `source`, in one order everywhere."""
    lines = _read(source, LIST).decode().splitlines()
    return tuple(sorted(line[1:].strip() for line in lines if line.startswith("!")))


def read(source: Path) -> dict[str, bytes]:
    """Return the content of each listed file, lines ending in LF. Raises ImageContextError."""
    return {name: _read(source, name).replace(_CARRIAGE, b"\n") for name in listed(source)}


def unlisted_modules(source: Path) -> tuple[str, ...]:
    """Return the modules in `source` that would be missing in the image; junk is none."""
    names = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    return tuple(sorted(name for name in names - {*listed(source)} if _is_module(name)))


def loaded_modules(source: Path) -> frozenset[str]:
    """Return the files in `source` that this very program has loaded, recipes among them."""
    modules = [module for name, module in [*sys.modules.items()] if name.startswith(source.name)]
    paths = [Path(file).resolve() for one in modules if (file := getattr(one, "__file__", None))]
    whole = source.resolve()
    return frozenset(
        path.relative_to(whole).as_posix() for path in paths if path.is_relative_to(whole)
    )


def mode_of(name: str) -> int:
    """Return the permissions of a file in the context, whatever those of its source are."""
    return SCRIPT_MODE if name.endswith(".sh") else FILE_MODE


def write(files: Mapping[str, bytes], *, folder: Path) -> None:
    """Make the folder hold these files with their fixed modes, and nothing else.

    What is right already is not touched, and each file appears whole: another update of this
    checkout may be building from the same folder. Raises ImageContextError.
    """
    try:
        for path in _folders(files, folder):
            path.mkdir(exist_ok=True)
            path.chmod(FOLDER_MODE)
        for name, content in files.items():
            _put(folder / name, content, mode=mode_of(name), beside=folder.parent)
        _remove_others(folder, {*files})
    except OSError as error:
        raise ImageContextError(
            f"The image's files could not be copied to {folder}: {error.strerror or error}. Let "
            f"this user write there, or remove {folder.parent}: each `pulumi up` makes it anew."
        ) from error


def _read(source: Path, name: str) -> bytes:
    try:
        return (source / name).read_bytes()
    except OSError as error:
        why = (
            "is not there"
            if isinstance(error, FileNotFoundError)
            else f"cannot be read ({error.strerror})"
        )
        raise ImageContextError(
            f"{source / name}, a file of the image, {why}. Get it back with `git checkout "
            f"{source.name}`; one that is not wanted any more goes from {source.name}/{LIST} too."
        ) from error


def _is_module(name: str) -> bool:
    # What Python can import; `pipeline copy.py` and `.#pipeline.py` are an editor's.
    return all(part.isidentifier() for part in name.removesuffix(".py").split("/"))


def _folders(names: Iterable[str], folder: Path) -> list[Path]:
    inner = {parent for name in names for parent in (folder / name).parents}
    return sorted(path for path in inner if path == folder.parent or path.is_relative_to(folder))


def _put(path: Path, content: bytes, *, mode: int, beside: Path) -> None:
    if not path.is_symlink() and path.is_file() and path.read_bytes() == content:
        path.chmod(mode)
        return
    descriptor, name = tempfile.mkstemp(dir=beside)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(name).chmod(mode)
    Path(name).replace(path)


def _remove_others(folder: Path, names: set[str]) -> None:
    for above, folders, files in os.walk(folder, topdown=False):
        here = Path(above)
        for name in [*files, *folders]:
            path = here / name
            if path.is_dir() and not path.is_symlink():
                if not any(path.iterdir()):
                    path.rmdir()
            elif path.relative_to(folder).as_posix() not in names:
                path.unlink(missing_ok=True)
