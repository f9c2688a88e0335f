"""Asking an image registry whether a digest can be pulled; reads one manifest's header, no more."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, cast

import requests

TIMEOUT_S = (5.0, 20.0)
DOCKER_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """What the registry says; unknown when it could not be asked."""

    outcome: Literal["present", "absent", "unknown"]
    why: str = ""


def find_manifest(image: str, *, username: str, secret: str) -> Lookup:
    """Look up `server/repository@sha256:…` with these credentials (none when the name is empty)."""
    server, repository, digest = split(image)
    host = DOCKER_HUB.get(server, server)
    scheme = "http" if host.split(":")[0] in ("127.0.0.1", "localhost") else "https"
    address = f"{scheme}://{host}/v2/{repository}/manifests/{digest}"
    basic = (username, secret) if username else None
    try:
        answer = requests.head(
            address, headers={"Accept": MANIFESTS}, auth=basic, timeout=TIMEOUT_S
        )
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status_code == requests.codes.unauthorized and challenge.startswith("Bearer "):
            token = _bearer_token(challenge, basic=basic)
            headers = {"Accept": MANIFESTS, "Authorization": f"Bearer {token}"}
            answer = requests.head(address, headers=headers, timeout=TIMEOUT_S)
    except (requests.RequestException, ValueError) as error:
        return Lookup(
            outcome="unknown", why=f"{server} gave no usable answer ({type(error).__name__})"
        )
    if answer.ok:
        return Lookup(outcome="present")
    if answer.status_code == requests.codes.not_found:
        return Lookup(outcome="absent", why=f"{server} does not have it")
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        return Lookup(outcome="absent", why=f"{server} refused the credentials")
    return Lookup(outcome="unknown", why=f"{server} answered {answer.status_code}")


def split(image: str) -> tuple[str, str, str]:
    """Split a reference by digest into server, repository and digest."""
    name, _, digest = image.partition("@")
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        server, repository = first, rest
    else:
        server, repository = "docker.io", name if rest else f"library/{name}"
    last = repository.rsplit("/", 1)[-1]
    if ":" in last:
        repository = repository[: -len(last)] + last.split(":")[0]
    return server, repository, digest


def _bearer_token(challenge: str, *, basic: tuple[str, str] | None) -> str:
    members = dict(_CHALLENGE.findall(challenge))
    query = {name: members[name] for name in ("service", "scope") if name in members}
    answer = requests.get(members.get("realm", ""), params=query, auth=basic, timeout=TIMEOUT_S)
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        return ""
    answer.raise_for_status()
    found: Any = answer.json()
    if not isinstance(found, dict):
        return ""
    tokens = cast("dict[str, Any]", found)
    return str(tokens.get("token") or tokens.get("access_token") or "")
