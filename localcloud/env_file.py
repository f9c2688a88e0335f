"""The env file of the local world: every address and key that the tools read, and the way back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from localcloud.docker import daemon
from localcloud.docker.base_image import TAG
from localcloud.place import CHECKOUT, Place, write_private
from localcloud.pulumi.engine.install import engine_dir

# For the state of local stacks: the keys in it open nothing but this machine's stand-ins.
LOCAL_PASSPHRASE = "trainstack-rehearsal"  # noqa: S105 - published on purpose

_WAS = "TRAINSTACK_WAS_"

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def variables(place: Place) -> dict[str, str]:
    """Return every variable of the local world but PATH."""
    values = {
        "TRAINSTACK_LOCAL_CLOUD": str(place.directory),
        "PULUMI_HOME": str(place.directory / "pulumi-home"),
        "PULUMI_BACKEND_URL": f"file://{place.directory / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": LOCAL_PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "IONET_BASE_URL": place.caas_url,
        "IOCLOUD_API_KEY": place.ionet_api_key,
        "IONET_API_KEY": place.ionet_api_key,  # the alias: the user's own would contradict it
        "CLOUDFLARE_BASE_URL": place.cloudflare_url,
        "CLOUDFLARE_API_TOKEN": place.operator_token,
        "R2_ENDPOINT_URL": place.s3_url,
        "DATASET_MIRROR_URL": place.mirror_url,
        "REGISTRY_SERVER": place.registry_server,
        "REGISTRY_USERNAME": place.registry_username,
        "REGISTRY_SECRET": place.registry_secret,
        "TRAINSTACK_BASE_IMAGE": TAG,
    }
    docker_host = daemon.unusual_address()
    if docker_host:
        values["DOCKER_HOST"] = docker_host
    # Loopback and the bridge are never behind a proxy; requests and boto3 would ask it.
    if any(os.environ.get(name) for name in PROXIES):
        theirs = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        listed = [*theirs.split(","), "127.0.0.1", "localhost", place.gateway]
        values["NO_PROXY"] = values["no_proxy"] = ",".join(dict.fromkeys(filter(None, listed)))
    return values


def program_folders() -> list[str]:
    """Return what goes in front of PATH: the engine's programs, then the Python environment's."""
    return [str(engine_dir()), str(CHECKOUT / ".venv" / "bin")]


def environment(place: Place, *, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a whole environment for a child process of the local world."""
    base = os.environ if base is None else base
    ours = program_folders()
    path = [folder for folder in base.get("PATH", os.defpath).split(":") if folder not in ours]
    return {**base, **variables(place), "PATH": ":".join(ours + path)}


def write_env_file(place: Place) -> None:
    """Write the file that a shell sources to enter the local world; make the folders it names.

    Pulumi itself makes no folder for its state, and every command of it would fail.
    """
    values = variables(place)
    Path(values["PULUMI_BACKEND_URL"].removeprefix("file://")).mkdir(parents=True, exist_ok=True)
    there = _quoted(str(place.directory))
    gone = f"{place.directory}, whose addresses these are, is gone; `make up` writes this anew"
    folders = ":".join(program_folders())
    lines = [
        "# The local world of trainstack, for sh, bash and zsh:  source this file",
        "# To leave it again, type:  trainstack_leave",
        "# Its keys open this machine's stand-ins only. Written by `python -m localcloud start`.",
        "",
        f"[ -d {there} ] || {{ echo {_quoted(gone)} >&2; return 1; }}",
        "# What was set before comes back on leaving; it is remembered once, and not exported.",
        *(_remember(name, value) for name, value in values.items()),
        *(f"export {name}={_quoted(value)}" for name, value in values.items()),
        f"TRAINSTACK_PROGRAMS={_quoted(folders)}",
        'case ":$PATH:" in',
        '  *":$TRAINSTACK_PROGRAMS:"*) ;;',
        '  *) export PATH="$TRAINSTACK_PROGRAMS:$PATH" ;;',
        "esac",
        "trainstack_leave() {",
        '  case ":$PATH:" in',
        '    *":$TRAINSTACK_PROGRAMS:"*)',
        '      PATH=":$PATH:"',
        '      PATH="${PATH%%":$TRAINSTACK_PROGRAMS:"*}:${PATH#*":$TRAINSTACK_PROGRAMS:"}"',
        '      PATH="${PATH#:}"; export PATH="${PATH%:}" ;;',
        "  esac",
        *(f"  {_restore(name)}" for name in values),
        "  unset TRAINSTACK_PROGRAMS",
        "  unset -f trainstack_leave",
        "}",
        "",
    ]
    write_private(place.env_path, "\n".join(lines))


def _remember(name: str, ours: str) -> str:
    """Return the line that keeps the user's value: "set:" and the value, or nothing if unset.

    Our own value, in a shell that was started from within, is not the user's.
    """
    kept = f"{_WAS}{name}"
    return (
        f'[ -n "${{{kept}+x}}" ] || [ "${{{name}-}}" = {_quoted(ours)} ] || '
        f'{kept}="${{{name}+set:${name}}}"'
    )


def _restore(name: str) -> str:
    kept = f"{_WAS}{name}"
    return (
        f'case "${{{kept}-}}" in set:*) export {name}="${{{kept}#set:}}" ;; '
        f"*) unset {name} ;; esac; unset {kept}"
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"
