"""What a copy into a folder has done so far, in one append-only file; survives a kill.

Only saves work: a wrong entry is found by the hash at the end, and the file is then copied anew.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class ResumeLog:
    """Ranges that are in part files, and files whose hash was right. Safe between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._ranges: dict[tuple[str, str], set[tuple[int, int]]] = {}
        self._files: dict[tuple[str, str], tuple[int, int]] = {}

    def __enter__(self) -> Self:
        known = self._path.read_bytes() if self._path.exists() else b""
        for line in known.decode("utf-8", errors="replace").splitlines():
            self._take(line)
        self._file = self._path.open("a", encoding="utf-8")
        if not known.endswith(b"\n"):
            self._file.write("\n")  # the last line of a killed copy stays by itself
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def ranges(self, key: str, version: str) -> set[tuple[int, int]]:
        """Return the (offset, length) ranges of this version that a part file holds."""
        with self._lock:
            return set(self._ranges.get((key, version), ()))

    def add_range(self, key: str, version: str, offset: int, length: int) -> None:
        """Note that a range was written."""
        self._write({"range": [key, version, offset, length]})

    def forget(self, key: str, version: str) -> None:
        """Note that the part file is gone."""
        self._write({"forget": [key, version]})

    def add_file(self, key: str, version: str, path: Path) -> None:
        """Note that the file was complete and its hash right."""
        stat = path.stat()
        self._write({"file": [key, version, stat.st_size, stat.st_mtime_ns]})

    def verified(self, key: str, version: str, path: Path) -> bool:
        """Say whether the file was verified and has not been touched since."""
        stat = path.stat()
        with self._lock:
            return self._files.get((key, version)) == (stat.st_size, stat.st_mtime_ns)

    def _write(self, entry: dict[str, list[Any]]) -> None:
        line = json.dumps(entry)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()
            self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry: dict[str, Any] = json.loads(line)
            match entry:
                case {"range": [str(key), str(version), int(offset), int(length)]}:
                    self._ranges.setdefault((key, version), set()).add((offset, length))
                case {"forget": [str(key), str(version)]}:
                    self._ranges.pop((key, version), None)
                case {"file": [str(key), str(version), int(size), int(mtime_ns)]}:
                    self._files[key, version] = (size, mtime_ns)
                    self._ranges.pop((key, version), None)
                case _:
                    return
        except ValueError:
            return  # the last line of a killed copy
