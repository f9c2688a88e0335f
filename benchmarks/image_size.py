"""What a rented machine pulls, compressed, as registries say: the base before and now, an image.

BENCH_IMAGE names a pushed one, `server/repository@sha256:…`, with REGISTRY_USERNAME and
REGISTRY_SECRET where it is not public. What cannot be had here is said on stderr.
"""

from __future__ import annotations

import os
import re
import sys

import requests

from benchmarks.figures import ROOT, Figure
from components import registry
from components.errors import TrainstackError
from container.transport.network import reason_of

BEFORE = ("nvidia/cuda", "12.8.1-devel-ubuntu24.04")
"""The base of nanochat's image until it was a plain one."""


def measure(_cold: bool) -> list[Figure]:
    """Return the sizes that could be had; nothing is pulled."""
    before = _size("the base before", registry.DOCKER_HUB, *BEFORE)
    now = _size("the base now", registry.DOCKER_HUB, *_base_now())
    figures: list[Figure] = []
    if now is not None:
        against = f"before: {before / 1e6:.0f} MB ({':'.join(BEFORE)})" if before else ""
        figures.append(Figure("compressed base of nanochat's image", now / 1e6, "MB", against))
    image = os.environ.get("BENCH_IMAGE", "")
    if not image:
        _say("an image: BENCH_IMAGE is not set")
        return figures
    whole = _size("the image", *registry.split(image))
    if whole is not None:
        shared = before - now if before and now else 0
        against = f"on the base before: {(whole + shared) / 1e6:.0f} MB" if shared else ""
        figures.append(Figure("compressed image", whole / 1e6, "MB", against))
    return figures


def _base_now() -> tuple[str, str]:
    text = (ROOT / "container/Dockerfile").read_text("utf-8")
    name, _, tag = re.findall(r"^ARG CUDA_BASE=(\S+)$", text, re.MULTILINE)[0].partition(":")
    return (name if "/" in name else f"library/{name}"), tag


def _size(what: str, server: str, repository: str, reference: str) -> int | None:
    user, secret = os.environ.get("REGISTRY_USERNAME", ""), os.environ.get("REGISTRY_SECRET", "")
    # A login is of the image's registry; the bases are public.
    login = (user, secret) if user and what == "the image" else None
    try:
        return registry.compressed_bytes(server, repository, reference, login)
    except (requests.RequestException, ValueError, TrainstackError) as error:
        _say(f"{what}: {server} did not say how large {repository} is: {reason_of(error)}")
    return None


def _say(text: str) -> None:
    print(f"not measured: {text}", file=sys.stderr)
