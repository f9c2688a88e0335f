"""`runs doctor`: one probe per key and address, each with one of three outcomes.

`refused` is a clear no and needs action; `unknown` says what was not checked and blocks nothing.
Never changes anything anywhere, and never shows a key.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import requests

from components.ionet.models import is_key_problem
from runs.cloudflare import CLOUDFLARE_URL
from runs.errors import RefusedError, RunsError, SettingMissingError
from runs.follow import read_live_status
from runs.source import Source

IONET_URL = "https://api.io.solutions"
DOCKER_HUB_API = "registry-1.docker.io"
LOCAL_ADDRESSES = ("IONET_BASE_URL", "CLOUDFLARE_BASE_URL", "R2_ENDPOINT_URL")
_CONNECT_AND_READ_S = (5, 15)

Outcome = Literal["ok", "refused", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one probe found; `remedy` only when something is to be done."""

    check: str
    outcome: Outcome
    what: str
    remedy: str = ""


def findings(source: Source) -> Iterator[Finding]:
    """Yield one finding after the other, as each is known."""
    yield judge_world(source.environ, directory_exists=lambda path: Path(path).is_dir())
    stack = _stack(source)
    yield stack
    if stack.outcome == "ok":
        yield judge_stack_world(source.environ, cloud=source.config.get("cloud", ""))
    yield _told("Cloudflare token", lambda: _cloudflare(source))
    yield _told("bucket", lambda: _bucket(source))
    yield _told("io.net key", lambda: _ionet(source))
    yield _told("registry", lambda: _registry(source))
    if stack.outcome == "ok":
        yield from _machines(source)


def judge_world(environ: Mapping[str, str], *, directory_exists: Callable[[str], bool]) -> Finding:
    """Say whether the environment is wholly local or wholly real; pure."""
    mark = environ.get("TRAINSTACK_LOCAL_CLOUD", "")
    addresses = {name: environ[name] for name in LOCAL_ADDRESSES if environ.get(name)}
    if not mark:
        if addresses:
            return Finding(
                check="world",
                outcome="refused",
                what=f"{', '.join(addresses)} set without TRAINSTACK_LOCAL_CLOUD",
                remedy="half of a local world: run trainstack_leave, or source .local/env again",
            )
        return Finding(check="world", outcome="ok", what="real: io.net and Cloudflare")
    missing = [name for name in LOCAL_ADDRESSES if name not in addresses]
    if missing:
        return Finding(
            check="world",
            outcome="refused",
            what=f"local, but {', '.join(missing)} is not set",
            remedy="source .local/env again",
        )
    outside = [name for name, url in addresses.items() if not is_private(url)]
    if outside:
        return Finding(
            check="world",
            outcome="refused",
            what=f"local, but {', '.join(outside)} leads to the internet",
            remedy="source .local/env again, in a fresh shell",
        )
    if not directory_exists(mark):
        return Finding(
            check="world",
            outcome="refused",
            what="local, but the folder of TRAINSTACK_LOCAL_CLOUD is gone",
            remedy="make up, then source .local/env",
        )
    return Finding(check="world", outcome="ok", what="local: all addresses on this machine")


def judge_stack_world(environ: Mapping[str, str], *, cloud: str) -> Finding:
    """Say whether the stack's config and the shell mean the same world; pure."""
    local_shell = bool(environ.get("TRAINSTACK_LOCAL_CLOUD"))
    if not cloud:
        return Finding(check="stack's world", outcome="unknown", what="config names no cloud")
    if (cloud == "local") == local_shell:
        return Finding(check="stack's world", outcome="ok", what=f"cloud: {cloud}")
    return Finding(
        check="stack's world",
        outcome="refused",
        what=f"cloud: {cloud}, but the shell is {'local' if local_shell else 'not local'}",
        remedy="run trainstack_leave" if local_shell else "source .local/env",
    )


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


def registry_api(server: str) -> str:
    """Return the address of a registry's API: Docker Hub's is elsewhere, loopback speaks http."""
    host = server.removeprefix("https://").removeprefix("http://").strip("/")
    if host in ("docker.io", "index.docker.io", "registry.hub.docker.com", ""):
        host = DOCKER_HUB_API
    scheme = "http" if is_private(f"//{host}") else "https"
    return f"{scheme}://{host}/v2/"


def _told(check: str, probe: Callable[[], Finding]) -> Finding:
    """Turn what a probe raises into a finding; no answer is `unknown`, never `refused`."""
    try:
        return probe()
    except RunsError as error:
        what, _, remedy = str(error).partition("\n")
        clear = isinstance(error, RefusedError | SettingMissingError)
        return Finding(
            check=check, outcome="refused" if clear else "unknown", what=what, remedy=remedy
        )
    except requests.RequestException as error:
        return Finding(
            check=check, outcome="unknown", what=f"not checked: no answer ({type(error).__name__})"
        )


def _stack(source: Source) -> Finding:
    if source.words.bucket:
        return Finding(check="stack", outcome="unknown", what="not checked: --bucket was given")
    if shutil.which("pulumi", path=source.environ.get("PATH", "")) is None:
        return Finding(
            check="stack",
            outcome="refused",
            what="pulumi is not on PATH",
            remedy="source .local/env, or install Pulumi",
        )
    try:
        runs = source.targets
    except RunsError as error:
        what, _, remedy = str(error).partition("\n")
        return Finding(check="stack", outcome="refused", what=what, remedy=remedy)
    what = f"up, {len(runs)} run{'s' * (len(runs) != 1)}" if runs else "selected, nothing is up"
    return Finding(check="stack", outcome="ok", what=what)


def _cloudflare(source: Source) -> Finding:
    if not source.environ.get("CLOUDFLARE_API_TOKEN"):
        return Finding(
            check="Cloudflare token",
            outcome="refused",
            what="CLOUDFLARE_API_TOKEN is not set",
            remedy="source .local/env, or set a token that may write R2 and account tokens",
        )
    source.token_id()
    base = source.environ.get("CLOUDFLARE_BASE_URL", CLOUDFLARE_URL)
    return Finding(
        check="Cloudflare token", outcome="ok", what=f"active at {urlsplit(base).netloc}"
    )


def _bucket(source: Source) -> Finding:
    bucket = source.bucket
    with bucket.explained("list"):
        bucket.client.list_objects_v2(Bucket=bucket.name, MaxKeys=1)
    return Finding(
        check="bucket", outcome="ok", what=f"{bucket.name} at {urlsplit(bucket.endpoint).netloc}"
    )


def _ionet(source: Source) -> Finding:
    check = "io.net key"
    key = source.environ.get("IONET_API_KEY") or source.secret_config("ionetApiKey")
    if not key:
        return Finding(
            check=check,
            outcome="refused",
            what="neither IONET_API_KEY nor config ionetApiKey is set",
            remedy="source .local/env, or pulumi config set --secret ionetApiKey",
        )
    base = source.environ.get("IONET_BASE_URL", IONET_URL).rstrip("/")
    answer = requests.get(
        f"{base}/enterprise/v1/io-cloud/caas/deployments",
        params={"page_size": "1"},
        headers={"x-api-key": key},
        timeout=_CONNECT_AND_READ_S,
        allow_redirects=False,
    )
    where = urlsplit(base).netloc
    if answer.status_code == requests.codes.ok:
        return Finding(check=check, outcome="ok", what=f"may list deployments at {where}")
    if answer.status_code in (401, 403) or is_key_problem(_json(answer)):
        return Finding(
            check=check,
            outcome="refused",
            what=f"{where} refused the key ({answer.status_code})",
            remedy="make one of project io-cloud at https://ai.io.net",
        )
    return Finding(
        check=check, outcome="unknown", what=f"not checked: {where} said {answer.status_code}"
    )


def _registry(source: Source) -> Finding:
    check = "registry"
    environ, config = source.environ, source.config
    server = environ.get("REGISTRY_SERVER") or config.get("registryServer") or "docker.io"
    user = environ.get("REGISTRY_USERNAME") or config.get("registryUsername", "")
    secret = environ.get("REGISTRY_SECRET") or source.secret_config("registrySecret")
    api = registry_api(server)
    login = (user, secret) if user and secret else None
    answer = requests.get(api, auth=login, timeout=_CONNECT_AND_READ_S, allow_redirects=False)
    challenge = answer.headers.get("www-authenticate", "")
    if answer.status_code == requests.codes.unauthorized and challenge.startswith("Bearer"):
        answer = _ask_for_token(challenge, login)
    if answer.status_code == requests.codes.ok:
        who = f"as {user}" if login else "without a login: public images only"
        return Finding(check=check, outcome="ok", what=f"{server} lets in, {who}")
    if answer.status_code in (401, 403):
        return Finding(
            check=check,
            outcome="refused",
            what=f"{server} refused {f'user {user}' if login else 'entry without a login'}",
            remedy="pulumi config set registryUsername …; … --secret registrySecret",
        )
    return Finding(
        check=check, outcome="unknown", what=f"not checked: {server} said {answer.status_code}"
    )


def _ask_for_token(challenge: str, login: tuple[str, str] | None) -> requests.Response:
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


def _machines(source: Source) -> Iterator[Finding]:
    for target in source.targets:
        if not target.status_url:
            continue
        live = read_live_status(target.status_url)
        yield Finding(
            check=f"machine of {target.run}",
            outcome="ok" if live else "unknown",
            what=f"attempt {live.attempt}, {live.outcome or live.stage}" if live else "no answer",
            remedy="" if live else "gone, starting or not reachable from here: see runs status",
        )


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
