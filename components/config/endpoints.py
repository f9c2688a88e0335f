"""The two worlds, io.net and the local cloud: their addresses, and that they never mix; pure.

Addresses come from the environment only (`source .local/env`), so that a stack file can never
point a paid run at a rehearsal's services, or the other way round.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from container.transport.r2 import endpoint_of

LOCAL_MARK = "TRAINSTACK_LOCAL_CLOUD"
LOCAL = "local"
IONET_KEY = "trainstack:ionetApiKey"
CLOUDFLARE_TOKEN = "cloudflare:apiToken"  # noqa: S105 - the name of a config key
LOCAL_ADDRESSES = ("IONET_BASE_URL", "CLOUDFLARE_BASE_URL", "R2_ENDPOINT_URL")
LEAVE = "run `trainstack_leave` or open a new terminal"
ENTER = "run `source .local/env` first (`make up` makes it)"


@dataclass(frozen=True, kw_only=True)
class World:
    """Where the services of one world answer; "" means the real, public address."""

    cloud: str
    ionet_base_url: str
    cloudflare_base_url: str
    r2_endpoint_url: str
    dataset_mirror_url: str
    registry_server: str
    base_image: str

    @classmethod
    def from_env(cls, cloud: str, *, env: Mapping[str, str]) -> World:
        """Read the addresses; `world_problems` must have found none."""
        return cls(
            cloud=cloud,
            ionet_base_url=env.get("IONET_BASE_URL", ""),
            cloudflare_base_url=env.get("CLOUDFLARE_BASE_URL", ""),
            r2_endpoint_url=env.get("R2_ENDPOINT_URL", ""),
            dataset_mirror_url=env.get("DATASET_MIRROR_URL", ""),
            registry_server=env.get("REGISTRY_SERVER", ""),
            base_image=env.get("TRAINSTACK_BASE_IMAGE", ""),
        )

    def r2_endpoint(self, account_id: str, *, jurisdiction: str) -> str:
        """Return the S3 address of the account's buckets in that jurisdiction."""
        if self.r2_endpoint_url:
            return self.r2_endpoint_url
        return endpoint_of(account_id, jurisdiction=jurisdiction)


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


def world_problems(cloud: str, *, env: Mapping[str, str], config: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the environment for a stack of that cloud, one line each."""
    problems = mixed_worlds(cloud, env=env)
    credentials = {
        "IONET_API_KEY": IONET_KEY,
        "CLOUDFLARE_API_TOKEN": CLOUDFLARE_TOKEN,
    }
    for name, key in credentials.items():
        if not env.get(name) and not config.get(key):
            problems.append(
                f"{name}: is not set; set it, or `pulumi config set --secret {key}`"
                if cloud != LOCAL
                else f"{name}: is not set; {ENTER}"
            )
    return problems


def mixed_worlds(cloud: str, *, env: Mapping[str, str]) -> list[str]:
    """Return one line for each variable that belongs to the other world."""
    shell = Shell.from_env(env)
    if cloud == LOCAL:
        missing = [*(() if shell.mark else (LOCAL_MARK,)), *shell.missing]
        return (
            [f"trainstack:cloud = local: {', '.join(missing)} not set; {ENTER}"] if missing else []
        )
    present = [*((LOCAL_MARK,) if shell.mark else ()), *shell.addresses]
    if not present:
        return []
    names = ", ".join(present)
    return [f"trainstack:cloud = {cloud}: {names} must not be set for a paid run; {LEAVE}"]


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Which world an environment is in: the local one's mark ("" outside), and its addresses."""

    mark: str
    addresses: Mapping[str, str]  # those that are set, by variable

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Shell:
        """Read the variables that lead into the local world."""
        return cls(
            mark=env.get(LOCAL_MARK, ""),
            addresses={name: env[name] for name in LOCAL_ADDRESSES if env.get(name)},
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """The addresses that the local world has and this environment lacks."""
        return tuple(name for name in LOCAL_ADDRESSES if name not in self.addresses)

    @property
    def outside(self) -> tuple[str, ...]:
        """The addresses that are set and are not on this machine or its own network."""
        return tuple(name for name, url in self.addresses.items() if not is_private(url))
