"""Has nanochat download its shards, and takes none that is missing, cut short or of other content.

`nanochat.dataset` ends with exit code 0 even when no shard arrived, and checks nothing of what did.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO

from container.contract.upstream import mirrored
from container.nanochat.download import FetchError, download

CHECKED = "checked_shards.txt"  # beside the folder, which nanochat lists
ATTEMPTS = 4
TIMEOUT_S = 30
READ_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ShardsError(Exception):
    """Not all shards are there as they were published."""


@dataclass(frozen=True)
class Shards:
    """So many train shards of a data set, and the one that validates."""

    folder: str  # below the base folder
    train: int
    validation: int | None  # always fetched; None: nanochat takes the last one on disk for it

    @property
    def names(self) -> list[str]:
        """The file names."""
        last = self.train if self.validation is None else self.validation
        return [f"shard_{i:05d}.parquet" for i in [*range(self.train), last]]

    @property
    def asked(self) -> int:
        """The number of shards to ask nanochat for; a fixed validation shard it adds by itself."""
        return self.train + (self.validation is None)


def cut_shards(folder: Path, names: Sequence[str]) -> list[str]:
    """Return which shards are missing or cut short: parquet begins and ends with PAR1."""
    return [name for name in names if not _is_parquet(folder / name)]


def fetch(base_dir: Path, wanted: Shards, *, workers: int, hub_url: str, mirror: str = "") -> None:
    """Have nanochat download shards, again for those that did not arrive whole.

    `hub_url` is where nanochat gets them; its hashes are compared where it publishes them, also
    with those that a mirror had. What the mirror does not have nanochat downloads.
    """
    names = wanted.names
    folder = base_dir / wanted.folder
    number = str(wanted.asked)
    bad: list[str] = []
    for attempt in range(1, ATTEMPTS + 1):
        for name in cut_shards(folder, names):
            (folder / name).unlink(missing_ok=True)
        if mirror and attempt == 1:
            _from_mirror(folder, names, mirror=mirror, workers=workers)
        code = 0
        if cut_shards(folder, names):
            command = [sys.executable, "-m", "nanochat.dataset", "-n", number, "-w", str(workers)]
            code = subprocess.run(command, check=False).returncode
        bad = cut_shards(folder, names)
        if not bad:
            bad = _other_content(folder, names, hub_url=hub_url, workers=workers)
        if not bad:
            return
        print(f"attempt {attempt}: exit code {code}, {len(bad)} shards missing, first {bad[0]}")
    raise ShardsError(
        f"{len(bad)} of {len(names)} shards did not arrive in {ATTEMPTS} attempts; training would "
        "go on with fewer and repeat them. Is huggingface.co reachable from this machine?"
    )


def published_sha256(url: str) -> str:
    """Return the hash that the hub publishes for a large file, "" when it does not say.

    The hub answers a HEAD with a redirect to its store, and with the hash in X-Linked-Etag.
    Raises OSError when it does not answer, or with what is no HTTP.
    """
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # nanochat's own address
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    except (HTTPException, ValueError) as error:
        raise OSError(f"no answer that can be read: {type(error).__name__}") from None
    etag = str(headers.get("X-Linked-Etag", "")).strip('"')
    return etag if _SHA256.fullmatch(etag) else ""


def _from_mirror(folder: Path, names: Sequence[str], *, mirror: str, workers: int) -> None:
    """Fetch what is not there; a mirror that does not have one is asked for no other."""
    folder.mkdir(parents=True, exist_ok=True)
    lacking = threading.Event()

    def whole(file: Path) -> None:
        if not _is_parquet(file):
            raise ValueError("no whole parquet file")

    def bring(name: str) -> None:
        if lacking.is_set():
            return
        try:
            place = mirrored(f"{folder.name}/{name}", mirror=mirror)
            download(place, folder / name, check=whole)
        except FetchError as error:
            lacking.set()
            print(f"{error}: nanochat downloads what is missing", flush=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(bring, cut_shards(folder, names)))


def _other_content(folder: Path, names: Sequence[str], *, hub_url: str, workers: int) -> list[str]:
    """Remove shards whose hash is not the published one, and return their names."""
    seen = folder.with_name(CHECKED)
    checked = _read_checked(seen)
    silent = threading.Event()  # a hub that does not answer is asked once, not 170 times
    new = [name for name in names if _signature(folder / name) not in checked]

    def look(name: str) -> tuple[str, bool | None]:
        wanted = ""
        if not silent.is_set():
            try:
                wanted = published_sha256(f"{hub_url}/{name}")
            except OSError:
                silent.set()
        if not wanted:
            return name, None
        return name, _sha256(folder / name) == wanted

    with ThreadPoolExecutor(workers) as pool:
        results = dict(pool.map(look, new))
    right = [name for name, same in results.items() if same]
    wrong = [name for name, same in results.items() if same is False]
    unknown = len(results) - len(right) - len(wrong)
    print(f"{len(right)} shards have their published hash, {unknown} have none", flush=True)
    with seen.open("a") as file:
        file.writelines(f"{_signature(folder / name)}\n" for name in right)
    for name in wrong:
        print(f"{name} has another content than was published: once more", flush=True)
        (folder / name).unlink(missing_ok=True)
    return wrong


def _read_checked(seen: Path) -> set[str]:
    try:
        return set(seen.read_text("utf-8").splitlines())
    except FileNotFoundError:
        return set()


def _signature(file: Path) -> str:
    state = file.stat()
    return f"{file.name} {state.st_size} {state.st_mtime_ns}"


def _is_parquet(file: Path) -> bool:
    try:
        with file.open("rb") as content:
            first = content.read(4)
            content.seek(-4, 2)
            return first == content.read(4) == b"PAR1"
    except OSError:
        return False


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()  # hashlib.file_digest came with Python 3.11
    with file.open("rb") as content:
        while part := content.read(READ_BYTES):
            digest.update(part)
    return digest.hexdigest()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None
