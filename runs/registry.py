"""Where an image registry's API is, and whether it lets somebody in; pulls nothing."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import requests

from runs.errors import RefusedError

DOCKER_HUB_API = "registry-1.docker.io"
_CONNECT_AND_READ_S = (5, 15)

Login = tuple[str, str]  # user name and secret


def knock(server: str, login: Login | None) -> int:
    """Return the status with which a registry answers this login, or nobody's when it is None."""
    answer = requests.get(
        registry_api(server), auth=login, timeout=_CONNECT_AND_READ_S, allow_redirects=False
    )
    challenge = answer.headers.get("www-authenticate", "")
    if answer.status_code == requests.codes.unauthorized and challenge.startswith("Bearer"):
        answer = _ask_for_token(challenge, login)
    return answer.status_code


def registry_api(server: str) -> str:
    """Return the address of a registry's API: Docker Hub's is elsewhere, loopback speaks http."""
    host = server.removeprefix("https://").removeprefix("http://").strip("/")
    if host in ("docker.io", "index.docker.io", "registry.hub.docker.com", ""):
        host = DOCKER_HUB_API
    scheme = "http" if is_private(f"//{host}") else "https"
    return f"{scheme}://{host}/v2/"


def is_private(url: str) -> bool:
    """Say whether an address is this machine's or its own network's."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private


def _ask_for_token(challenge: str, login: Login | None) -> requests.Response:
    """Log in where the registry says; https://distribution.github.io/distribution/spec/auth/token/"""
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = said.get("realm", "")
    if not realm.startswith("https://") and not is_private(realm):
        raise RefusedError(f"the registry asks to log in at {realm!r}, which is not https.\n")
    return requests.get(
        realm,
        params={"service": said.get("service", "")},
        auth=login,
        timeout=_CONNECT_AND_READ_S,
        allow_redirects=False,
    )
