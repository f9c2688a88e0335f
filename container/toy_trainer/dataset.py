"""Downloads the rehearsal's text shards and conversations from the dataset mirror.

Concurrent, resumable by Range, checked by sha256. Unlike nanochat's, it fails when a shard is
missing. Standard library only.

    python -m container.toy_trainer.dataset -n 8 -w 4
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import sys
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from container.toy_trainer import layout

ATTEMPTS = 5
FIRST_PAUSE_S = 1.0  # doubled after each attempt
TIMEOUT_S = 30.0
CHUNK_BYTES = 256 * 1024  # one chunk a worker is all the memory that a download needs
CONVERSATIONS = "conversations.jsonl"


class DownloadError(Exception):
    """A file could not be had, or is not what the manifest says."""


# All that an exchange can raise: of the network, of HTTP, of what a header or a body says.
_FAILURES = (OSError, http.client.HTTPException, ValueError, DownloadError)


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One entry of the mirror's manifest.json."""

    name: str
    size_bytes: int
    sha256: str


def plan(manifest: dict[str, Any], *, train_shards: int) -> list[Shard]:
    """Return the shards to have: the first `train_shards` (-1 = all) and the validation shard.

    The validation shard is the last of the manifest and is always part of it.
    """
    try:
        shards = [
            Shard(name=s["name"], size_bytes=int(s["size_bytes"]), sha256=s["sha256"])
            for s in manifest["shards"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DownloadError(f"manifest.json of the mirror is not as expected: {error!r}") from None
    unsafe = [s.name for s in shards if Path(s.name).name != s.name or s.name.startswith(".")]
    if unsafe:
        raise DownloadError(f"manifest.json names a shard that is no plain file name: {unsafe[0]}")
    if len(shards) < 2:
        raise DownloadError(f"the mirror has {len(shards)} shards, at least 2 are needed")
    train = shards[:-1]
    return [*(train if train_shards < 0 else train[:train_shards]), shards[-1]]


def fetch(url: str, target: Path, *, shard: Shard) -> bool:
    """Bring one shard to `target`; return False when the right one was already there.

    What an earlier attempt left in `<target>.part` is continued. Raises DownloadError after
    ATTEMPTS; a part with the wrong hash is deleted, so that the next attempt starts anew.
    """
    if target.exists() and _sha256(target) == shard.sha256:
        return False
    part = target.with_name(f"{target.name}.part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _continue(url, part, size_bytes=shard.size_bytes)
            _check(part, shard)
        except _FAILURES as error:
            print(f"Attempt {attempt}/{ATTEMPTS} failed for {shard.name}: {error}", flush=True)
            if attempt < ATTEMPTS:
                time.sleep(FIRST_PAUSE_S * 2 ** (attempt - 1))
        else:
            part.replace(target)
            return True
    raise DownloadError(f"{shard.name}: {ATTEMPTS} attempts failed, see the lines above")


def main(argv: list[str] | None = None) -> int:
    """Download what is asked for; return 1 when anything is missing at the end."""
    arguments = _arguments().parse_args(argv)
    if not arguments.mirror:
        print("DATASET_MIRROR_URL is not set: no place to download from", file=sys.stderr)
        return 2
    mirror = arguments.mirror.rstrip("/")
    try:
        wanted = plan(json.loads(_read(f"{mirror}/manifest.json")), train_shards=arguments.n)
        _fetch_conversations(mirror)
    except _FAILURES as error:
        print(f"The dataset mirror {_host(mirror)} cannot be used: {error}", file=sys.stderr)
        return 1
    folder = layout.shards_dir()
    folder.mkdir(parents=True, exist_ok=True)
    print(f"Downloading {len(wanted)} shards using {arguments.workers} workers...")
    print(f"Target directory: {folder}\n", flush=True)

    def bring(shard: Shard) -> bool:
        try:
            new = fetch(f"{mirror}/{shard.name}", folder / shard.name, shard=shard)
        except DownloadError as error:
            print(f"Failed to download {shard.name}: {error}", flush=True)
            return False
        said = f"Successfully downloaded {shard.name} ({shard.size_bytes:,} bytes)"
        print(said if new else f"Skipping {shard.name} (already exists)", flush=True)
        return True

    with ThreadPoolExecutor(arguments.workers) as pool:
        arrived = sum(pool.map(bring, wanted))
    print(f"Done! Downloaded: {arrived}/{len(wanted)} shards to {folder}", flush=True)
    return 0 if arrived == len(wanted) else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Download text shards from the dataset mirror")
    parser.add_argument(
        "-n", "--num-files", dest="n", type=int, default=-1, help="train shards (-1 = all)"
    )
    parser.add_argument(
        "-w", "--num-workers", dest="workers", type=int, default=4, help="parallel downloads"
    )
    parser.add_argument("--mirror", default=os.environ.get("DATASET_MIRROR_URL", ""))
    return parser


def _continue(url: str, part: Path, *, size_bytes: int) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have == size_bytes:
        return
    headers = {"Range": f"bytes={have}-"} if 0 < have < size_bytes else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the mirror's scheme)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        mode = "ab" if answer.status == http.HTTPStatus.PARTIAL_CONTENT else "wb"
        with part.open(mode) as file:
            while chunk := answer.read(CHUNK_BYTES):
                file.write(chunk)


def _check(part: Path, shard: Shard) -> None:
    size_bytes = part.stat().st_size
    if size_bytes < shard.size_bytes:
        raise DownloadError(f"the connection ended at byte {size_bytes} of {shard.size_bytes}")
    if _sha256(part) != shard.sha256:
        part.unlink()
        raise DownloadError("sha256 is not the manifest's")


def _fetch_conversations(mirror: str) -> None:
    raw = _read(f"{mirror}/{CONVERSATIONS}")
    for number, line in enumerate(raw.decode("utf-8").splitlines(), start=1):
        if line.strip() and not isinstance(json.loads(line), list):
            raise DownloadError(f"{CONVERSATIONS} line {number} is no list of messages")
    target = layout.conversations_file()
    part = target.with_name(f"{target.name}.part")
    part.write_bytes(raw)
    part.replace(target)
    print(f"Successfully downloaded {CONVERSATIONS} ({len(raw):,} bytes)", flush=True)


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310
        raw = answer.read()
        expected = answer.headers.get("Content-Length")
    if expected is not None and len(raw) != int(expected):
        raise DownloadError(f"{len(raw)} bytes of {expected} came")
    return raw


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _host(url: str) -> str:
    return urllib.parse.urlsplit(url).hostname or url


if __name__ == "__main__":
    raise SystemExit(main())
