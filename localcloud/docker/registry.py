"""The image registry: the distribution registry with a password, on loopback.

Its storage lies in the per-user cache, so that checkouts push a layer once between them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import bcrypt

from localcloud.docker import debian
from localcloud.place import Place, cache_folder, write_private
from localcloud.probe import answers
from localcloud.processes import Service

PACKAGE = "docker-registry"


def registry_service(place: Place) -> Service:
    """Declare the registry; `prepare` gets its program and writes its configuration."""
    config = _folder(place) / "config.json"  # the registry reads YAML, and JSON is YAML
    return Service(
        name="registry",
        purpose="image registry (distribution)",
        address=place.registry_server,
        command=[str(_program()), "serve", str(config)],
        healthy=lambda: _answers(place),
        ports=[place.ports["registry"]],
        sources=[config],
        # It would send traces to whatever collector a variable of the user's names.
        env={"OTEL_TRACES_EXPORTER": "none"},
        prepare=lambda report: _prepare(place, config, report),
    )


def _prepare(place: Place, config: Path, report: Callable[[str], None]) -> None:
    if not _program().exists():
        report(f"registry: getting Debian's package {PACKAGE}")
        debian.unpack(PACKAGE, cache_folder() / PACKAGE)
    storage = cache_folder() / "registry"
    storage.mkdir(parents=True, exist_ok=True)
    passwords = _folder(place) / "htpasswd"
    passwords.parent.mkdir(parents=True, exist_ok=True)
    _write_password(passwords, place.registry_username, place.registry_secret)
    write_private(config, json.dumps(_configuration(place, storage, passwords), indent=2))


def _configuration(place: Place, storage: Path, passwords: Path) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        # No cache in memory: another checkout's registry writes to the same storage.
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"addr": place.registry_server},
        "auth": {"htpasswd": {"realm": "trainstack", "path": str(passwords)}},
    }


def _program() -> Path:
    """Return the registry's program, which may not be there yet."""
    for name in (PACKAGE, "registry"):
        found = shutil.which(name)
        if found:
            return Path(found)
    # Unpacked, not installed: installed it would start a registry of its own on all addresses.
    return cache_folder() / PACKAGE / "usr/bin" / PACKAGE


def _folder(place: Place) -> Path:
    return place.directory / "registry"


def _write_password(path: Path, username: str, secret: str) -> None:
    """Write the password file unless it already holds this password: the hash has a salt."""
    if path.exists():
        name, _, hashed = path.read_text(encoding="utf-8").strip().partition(":")
        if name == username and bcrypt.checkpw(secret.encode(), hashed.encode()):
            return
    # The lowest cost: each request checks it, and the secret is random, not a person's.
    hashed = bcrypt.hashpw(secret.encode(), bcrypt.gensalt(rounds=4)).decode()
    write_private(path, f"{username}:{hashed}\n")


def _answers(place: Place) -> bool:
    return answers(
        f"http://{place.registry_server}/v2/",
        auth=(place.registry_username, place.registry_secret),
    )
