"""Image registries: where their API is, who may see the login, whether a digest can be pulled.

Reads one manifest's header, no more. https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import requests

from components.errors import TrainstackError
from components.http_session import make_session
from container.transport.network import reason_of

TIMEOUT_S = (5.0, 20.0)
KNOCKED_WITHIN_S = 2 * sum(TIMEOUT_S)  # the registry, and the realm that it names
DOCKER_HUB: Final = "docker.io"
DOCKER_HUB_API: Final = "registry-1.docker.io"
_DOCKER_HUB_NAMES: Final = frozenset({"", DOCKER_HUB, "index.docker.io", "registry.hub.docker.com"})
_DOCKER_HUB_SERVERS: Final = _DOCKER_HUB_NAMES | {DOCKER_HUB_API}
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')

Login = tuple[str, str]  # user name and secret


class RealmRefusedError(TrainstackError):
    """The registry asks to log in at a place that may not see the login; nothing was sent there."""


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """What the registry says; unknown when it could not be asked."""

    outcome: Literal["present", "absent", "unknown"]
    why: str = ""


def server_in(repository: str) -> str:
    """Return the registry that a repository's name begins with, "" for none, as Docker tells it.

    https://github.com/distribution/reference/blob/main/normalize.go
    """
    first, slash, _ = repository.partition("/")
    names_one = slash and (first == "localhost" or "." in first or ":" in first)
    return first if names_one else ""


def is_same(one: str, other: str) -> bool:
    """Say whether two names mean one registry: Docker Hub has several."""
    if one in _DOCKER_HUB_SERVERS or other in _DOCKER_HUB_SERVERS:
        return one in _DOCKER_HUB_SERVERS and other in _DOCKER_HUB_SERVERS
    return one.lower() == other.lower()


def find_manifest(image: str, *, username: str, secret: str) -> Lookup:
    """Look up `server/repository@sha256:…` with these credentials (none when the name is empty)."""
    server, repository, digest = split(image)
    address = f"{api_address(server)}{repository}/manifests/{digest}"
    login = (username, secret) if username else None
    try:
        answer = _ask_manifest("HEAD", address, login=login)
    except RealmRefusedError as error:
        return Lookup(outcome="unknown", why=str(error).strip())
    except (requests.RequestException, ValueError) as error:
        return Lookup(outcome="unknown", why=f"{server} gave no usable answer: {reason_of(error)}")
    if answer.ok:
        return Lookup(outcome="present")
    if answer.status_code == requests.codes.not_found:
        return Lookup(outcome="absent", why=f"{server} does not have it")
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        return Lookup(outcome="absent", why=f"{server} refused the credentials")
    return Lookup(outcome="unknown", why=f"{server} answered {answer.status_code}")


def compressed_bytes(server: str, repository: str, reference: str, login: Login | None) -> int:
    """Return how much a linux/amd64 machine pulls of an image, by tag or digest.

    Raises RealmRefusedError, what `requests` raises, or ValueError for an answer of another shape.
    """
    address = f"{api_address(server)}{repository}/manifests/{{}}"
    for _ in range(2):  # an index, and the manifest that it names
        answer = _ask_manifest("GET", address.format(reference), login=login)
        answer.raise_for_status()
        told: Any = answer.json()
        try:
            if "layers" in told:
                return sum(int(layer["size"]) for layer in told["layers"])
            reference = next(
                str(one["digest"])
                for one in told["manifests"]
                if (one["platform"]["os"], one["platform"]["architecture"]) == ("linux", "amd64")
            )
        except (KeyError, TypeError, StopIteration):
            break
    raise ValueError(f"{server} names no image of linux/amd64 for {repository}")


def _ask_manifest(method: str, address: str, *, login: Login | None) -> requests.Response:
    answer = _ask(method, address, login=login, headers={"Accept": MANIFESTS})
    challenge = _bearer_challenge(answer)
    if challenge is None:
        return answer
    token = _token(_ask_realm(challenge, address=address, login=login))
    headers = {"Accept": MANIFESTS, "Authorization": f"Bearer {token}"}
    return _ask(method, address, login=None, headers=headers)


def knock(server: str, login: Login | None) -> int:
    """Return the status with which a registry answers this login, or nobody's when it is None.

    Raises RealmRefusedError, or what `requests` raises when there is no answer.
    """
    address = api_address(server)
    answer = _ask("GET", address, login=login)
    challenge = _bearer_challenge(answer)
    if challenge is not None:
        answer = _ask_realm(challenge, address=address, login=login)
    return answer.status_code


def api_address(server: str) -> str:
    """Return the address of a registry's API: Docker Hub's is elsewhere, loopback speaks http."""
    host = server.removeprefix("https://").removeprefix("http://").strip("/")
    if host in _DOCKER_HUB_NAMES:
        host = DOCKER_HUB_API
    scheme = "http" if _is_loopback(f"//{host}") else "https"
    return f"{scheme}://{host}/v2/"


def is_private(url: str) -> bool:
    """Say whether an address is this machine's or its own network's."""
    address = _address(url)
    return address is not None and (address.is_loopback or address.is_private)


def may_see_login(realm: str, *, registry: str) -> bool:
    """Say whether a realm that a registry's challenge names may be sent the registry's login.

    It must be https and of the registry's own domain, as auth.docker.io is of
    registry-1.docker.io's. A registry on this machine may name a realm at its own address, by http.
    """
    there, here = urlsplit(realm).hostname or "", urlsplit(registry).hostname or ""
    if _is_loopback(registry):
        return there == here
    if urlsplit(realm).scheme != "https":
        return False
    return there == here or _domain(there) == _domain(here)


def split(image: str) -> tuple[str, str, str]:
    """Split a reference by digest into server, repository and digest."""
    name, _, digest = image.partition("@")
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        server, repository = first, rest
    else:
        server, repository = DOCKER_HUB, name if rest else f"library/{name}"
    last = repository.rsplit("/", 1)[-1]
    if ":" in last:
        repository = repository[: -len(last)] + last.split(":")[0]
    return server, repository, digest


def _is_loopback(url: str) -> bool:
    address = _address(url)
    return address is not None and address.is_loopback


def _domain(host: str) -> str:
    """Return what one owner registered: two labels, three below such as co.uk, an address whole."""
    if _address(f"//{host}"):
        return host
    labels = host.split(".")
    below = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return ".".join(labels[-3 if below else -2 :])


def _address(url: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a URL names; None for a name, which is asked of nobody."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return None


def _ask(
    method: str, address: str, *, login: Login | None, headers: Mapping[str, str] | None = None
) -> requests.Response:
    with make_session() as session:
        return session.request(
            method,
            address,
            headers=dict(headers or {}),
            auth=login,
            timeout=TIMEOUT_S,
            allow_redirects=False,
        )


def _bearer_challenge(answer: requests.Response) -> dict[str, str] | None:
    said = answer.headers.get("WWW-Authenticate", "")
    if answer.status_code != requests.codes.unauthorized or not said.startswith("Bearer"):
        return None
    return dict(_CHALLENGE.findall(said))


def _ask_realm(
    challenge: Mapping[str, str], *, address: str, login: Login | None
) -> requests.Response:
    realm = challenge.get("realm", "")
    if not may_see_login(realm, registry=address):
        host = urlsplit(address).netloc
        why = (
            f"which is not {host}'s own domain"
            if realm.startswith("https://")
            else "which is not https"
        )
        raise RealmRefusedError(f"the registry asks to log in at {realm!r}, {why}.\n")
    query = {name: challenge[name] for name in ("service", "scope") if name in challenge}
    with make_session() as session:
        return session.get(
            realm, params=query, auth=login, timeout=TIMEOUT_S, allow_redirects=False
        )


def _token(answer: requests.Response) -> str:
    if answer.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
        return ""
    answer.raise_for_status()
    members: Any = answer.json()
    if not isinstance(members, dict):
        return ""
    tokens = cast("dict[str, Any]", members)
    return str(tokens.get("token") or tokens.get("access_token") or "")
