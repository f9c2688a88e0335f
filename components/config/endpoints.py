"""The two worlds, io.net and the local cloud: their addresses, and that they never mix; pure.

Addresses come from the environment only (`source .local/env`), so that a stack file can never
point a paid run at a rehearsal's services, or the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from components.registry import is_private
from container.contract.pasted import cleaned_all, flaw
from container.contract.redacted import has_secrets, without_secrets
from container.transport.network import network_problems
from container.transport.r2 import R2_HOST, endpoint_of

LOCAL_MARK = "TRAINSTACK_LOCAL_CLOUD"
LOCAL = "local"
IONET_KEY = "trainstack:ionetApiKey"
CLOUDFLARE_TOKEN = "cloudflare:apiToken"  # noqa: S105 - the name of a config key
LOCAL_ADDRESSES = ("IONET_BASE_URL", "CLOUDFLARE_BASE_URL", "R2_ENDPOINT_URL")
IONET_VARIABLE = "IOCLOUD_API_KEY"
"""The io.net key's name in io.net's own pages and in the guide."""

IONET_ALIAS = "IONET_API_KEY"
"""Its name in earlier releases; read as well."""

KEYS = (
    IONET_VARIABLE,
    IONET_ALIAS,
    "CLOUDFLARE_API_TOKEN",
    "R2_ACCESS_KEY_ID",
    "R2_SECRET_ACCESS_KEY",
    "REGISTRY_USERNAME",
    "REGISTRY_SECRET",
    "WANDB_API_KEY",
)
ADDRESSES = (*LOCAL_ADDRESSES, "DATASET_MIRROR_URL", "REGISTRY_SERVER", "TRAINSTACK_BASE_IMAGE")
ACCOUNT = "CLOUDFLARE_ACCOUNT_ID"
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
            # R2's own is told by the account: in another spelling it would replace a live machine.
            r2_endpoint_url="" if is_r2s_own(env) else env.get("R2_ENDPOINT_URL", ""),
            dataset_mirror_url=env.get("DATASET_MIRROR_URL", ""),
            registry_server=env.get("REGISTRY_SERVER", ""),
            base_image=env.get("TRAINSTACK_BASE_IMAGE", ""),
        )

    def r2_endpoint(self, account_id: str, *, jurisdiction: str) -> str:
        """Return the S3 address of the account's buckets in that jurisdiction."""
        if self.r2_endpoint_url:
            return self.r2_endpoint_url
        return endpoint_of(account_id, jurisdiction=jurisdiction)


def is_r2s_own(env: Mapping[str, str]) -> bool:
    """Whether R2_ENDPOINT_URL is set to an address of R2 itself, as the guide has it."""
    try:
        host = urlsplit(env.get("R2_ENDPOINT_URL", "")).hostname or ""
    except ValueError:
        return False
    return host.endswith(R2_HOST)


def differing_endpoint(env: Mapping[str, str], *, account_id: str, jurisdiction: str) -> list[str]:
    """Return one line when the shell's address of R2 is not that of the stack's bucket."""
    given = env.get("R2_ENDPOINT_URL", "").rstrip("/")
    expected = endpoint_of(account_id, jurisdiction=jurisdiction)
    if not is_r2s_own(env) or given.lower() == expected:
        return []
    text = (
        f"R2_ENDPOINT_URL = {given}: is not where the stack's bucket is; must be {expected}, as "
        "trainstack:cloudflareAccountId and trainstack:jurisdiction tell, or not be set"
    )
    return [text]


def world_problems(cloud: str, *, env: Mapping[str, str], config: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the environment for a stack of that cloud, one line each."""
    problems = [
        *mixed_worlds(cloud, env=env),
        *address_problems(env),
        *network_problems(env),
    ]
    credentials = (
        (IONET_VARIABLE, ionet_key(env).value, IONET_KEY),
        ("CLOUDFLARE_API_TOKEN", env.get("CLOUDFLARE_API_TOKEN"), CLOUDFLARE_TOKEN),
    )
    for name, value, key in credentials:
        if not value and not config.get(key):
            problems.append(
                f"{name}: is not set; set it, or `pulumi config set --secret {key}`"
                if cloud != LOCAL
                else f"{name}: is not set; {ENTER}"
            )
    return problems


def entered(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment as it is meant: our keys and addresses without white space around.

    What belongs to others, a passphrase of Pulumi's among it, stays to the letter.
    """
    return cleaned_all(env, only=(*KEYS, *ADDRESSES, ACCOUNT, LOCAL_MARK))


@dataclass(frozen=True, kw_only=True)
class KeyInShell:
    """A key of the environment and the variable that holds it; both "" where there is none."""

    variable: str = ""
    value: str = field(default="", repr=False)


def ionet_key(env: Mapping[str, str]) -> KeyInShell:
    """Return the io.net key of an environment, by either name; `flaws` tells of two that differ."""
    names = (name for name in (IONET_VARIABLE, IONET_ALIAS) if env.get(name))
    name = next(names, "")
    return KeyInShell(variable=name, value=env.get(name, ""))


def differing_ionet_keys(env: Mapping[str, str]) -> str:
    """Return one line when the key's two names hold two keys, else ""."""
    if not env.get(IONET_ALIAS) or env.get(IONET_VARIABLE, "") in ("", env[IONET_ALIAS]):
        return ""
    return (
        "IOCLOUD_API_KEY and IONET_API_KEY: are two names of one key and hold different ones; "
        "unset IONET_API_KEY, or give it the same value"
    )


def flaws(env: Mapping[str, str]) -> list[str]:
    """Return one line for each key or address, of `entered`, that nobody could take."""
    found = [
        differing_ionet_keys(env),
        *(flaw(name, env.get(name, ""), lines=name == "REGISTRY_SECRET") for name in KEYS),
        *(_address_flaw(name, env.get(name, "")) for name in ADDRESSES),
    ]
    return [text for text in found if text]


def _address_flaw(name: str, value: str) -> str:
    if has_secrets(value):
        return (
            f"{name}: has a user, a password or a token in it, which others could read; must be an "
            "address without one"
        )
    return flaw(name, value)


def address_problems(env: Mapping[str, str]) -> list[str]:
    """Return one line for each address of a service that no client could ask."""
    return [
        f"{name} = {without_secrets(env[name])}: is no address; must begin with https:// (or "
        "http://) and name a host"
        for name in (*LOCAL_ADDRESSES, "DATASET_MIRROR_URL")
        if env.get(name) and not _is_address(env[name])
    ]


def mixed_worlds(cloud: str, *, env: Mapping[str, str]) -> list[str]:
    """Return one line for each variable that belongs to the other world."""
    shell = Shell.from_env(env)
    if cloud == LOCAL:
        if not shell.missing:
            return []
        return [f"trainstack:cloud = local: {', '.join(shell.missing)} not set; {ENTER}"]
    if not shell.variables:
        return []
    names = ", ".join(shell.variables)
    return [f"trainstack:cloud = {cloud}: {names} must not be set for a paid run; {LEAVE}"]


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@dataclass(frozen=True, kw_only=True)
class Shell:
    """What leads into the local world: those of its variables that an environment has."""

    variables: Mapping[str, str]

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Shell:
        """Read them; one that is empty is not there.

        Neither is R2's own address in a shell without the mark: it is one of the guide's variables.
        """
        names = (LOCAL_MARK, *LOCAL_ADDRESSES)
        found = {name: env[name] for name in names if env.get(name)}
        if LOCAL_MARK not in found and is_r2s_own(env):
            del found["R2_ENDPOINT_URL"]
        return cls(variables=found)

    @property
    def mark(self) -> str:
        """The local world's folder, "" outside of it."""
        return self.variables.get(LOCAL_MARK, "")

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses that are set, by variable."""
        return {name: url for name, url in self.variables.items() if name != LOCAL_MARK}

    @property
    def missing(self) -> tuple[str, ...]:
        """What the local world has and this environment lacks."""
        return tuple(n for n in (LOCAL_MARK, *LOCAL_ADDRESSES) if n not in self.variables)

    @property
    def outside(self) -> tuple[str, ...]:
        """The addresses that are set and are not on this machine or its own network."""
        return tuple(name for name, url in self.addresses.items() if not is_private(url))
