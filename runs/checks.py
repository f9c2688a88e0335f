"""`runs doctor`: one probe per key and address, each with one of three outcomes.

`refused` is a clear no and needs action; `unknown` says what was not checked and blocks nothing.
Changes nothing, but for a token that is made, to see that it can be, and revoked at once. Never
shows a key.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import requests

from components import docker_daemon, registry
from components.config.endpoints import CLOUDFLARE_TOKEN, ENTER, LEAVE, LOCAL, Shell
from components.ionet.client import DEFAULT_BASE_URL
from components.ionet.models import DeploymentRow
from container.contract.upstream import NO_KERNEL, WITHOUT_KERNEL
from container.transport import wandb_login
from container.transport.network import reason_of
from runs import fetched_files, machines, token_trial
from runs.errors import AccessRefusedError, RunsError, SettingMissingError
from runs.source.source import Source
from runs.terminal import formats
from runs.view.follower import read_live_status
from runs.waits import waiting

WANDB_KEY = "trainstack:wandbApiKey"
REGISTRY_USER = "trainstack:registryUsername"
REGISTRY_SECRET = "trainstack:registrySecret"  # noqa: S105 - the name of a config key
RUN_TOKEN = "a run's token"  # noqa: S105 - what is checked
IONET_READ_TIMEOUT_S = 15.0

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
    token = _told("Cloudflare token", lambda: _cloudflare(source))
    yield token
    if token.outcome == "ok":
        yield _told(RUN_TOKEN, lambda: _run_token(source))
    yield _told("bucket", lambda: _bucket(source))
    key = _told("io.net key", lambda: _ionet(source))
    yield key
    if key.outcome == "ok":
        yield _told("rented machines", lambda: _rented(source))
    yield _told("registry", lambda: _registry(source))
    yield _docker(source)
    if stack.outcome == "ok":
        yield judge_image(source.config)
        yield _fetched(source)
        yield _told("W&B key", lambda: _wandb(source))
    if stack.outcome == "ok":
        yield from _machines(source)


def judge_world(environ: Mapping[str, str], *, directory_exists: Callable[[str], bool]) -> Finding:
    """Say whether the environment is wholly local or wholly real; pure."""
    shell = Shell.from_env(environ)
    if not shell.mark:
        if shell.addresses:
            return Finding(
                check="world",
                outcome="refused",
                what=f"{', '.join(shell.addresses)} set without TRAINSTACK_LOCAL_CLOUD",
                remedy="half of a local world: unset them, or source .local/env",
            )
        return Finding(check="world", outcome="ok", what="real: io.net and Cloudflare")
    if shell.missing:
        return Finding(
            check="world",
            outcome="refused",
            what=f"local, but {', '.join(shell.missing)} is not set",
            remedy="source .local/env again",
        )
    if shell.outside:
        return Finding(
            check="world",
            outcome="refused",
            what=f"local, but {', '.join(shell.outside)} leads to the internet",
            remedy="source .local/env, which sets them all anew",
        )
    if not directory_exists(shell.mark):
        return Finding(
            check="world",
            outcome="refused",
            what="local, but the folder of TRAINSTACK_LOCAL_CLOUD is gone",
            remedy="make up, then source .local/env",
        )
    return Finding(check="world", outcome="ok", what="local: all addresses on this machine")


def judge_stack_world(environ: Mapping[str, str], *, cloud: str) -> Finding:
    """Say whether the stack's config and the shell mean the same world; pure."""
    local_shell = bool(Shell.from_env(environ).mark)
    if not cloud:
        return Finding(check="stack's world", outcome="unknown", what="config names no cloud")
    if (cloud == LOCAL) == local_shell:
        return Finding(check="stack's world", outcome="ok", what=f"cloud: {cloud}")
    return Finding(
        check="stack's world",
        outcome="refused",
        what=f"cloud: {cloud}, but the shell is {'local' if local_shell else 'not local'}",
        remedy=LEAVE if local_shell else ENTER,
    )


def judge_image(config: Mapping[str, str]) -> Finding:
    """Tell of an image that is built without what training would else fetch on paid time."""
    if config.get("flashAttention") == NO_KERNEL:
        return Finding(check="image", outcome="unknown", what=f"has {WITHOUT_KERNEL}")
    return Finding(check="image", outcome="ok", what="nothing is left out of it")


def _told(check: str, probe: Callable[[], Finding]) -> Finding:
    """Turn what a probe raises into a finding; no answer is `unknown`, never `refused`."""
    try:
        return probe()
    except RunsError as error:
        what, _, remedy = str(error).partition("\n")
        clear = isinstance(error, AccessRefusedError | SettingMissingError)
        return Finding(
            check=check, outcome="refused" if clear else "unknown", what=what, remedy=remedy
        )
    except requests.RequestException as error:
        return Finding(
            check=check, outcome="unknown", what=f"not checked: no answer: {reason_of(error)}"
        )


def _stack(source: Source) -> Finding:
    if source.selector.bucket:
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
    if not source.cloudflare_token:
        return Finding(
            check="Cloudflare token",
            outcome="refused",
            what=f"neither CLOUDFLARE_API_TOKEN nor config {CLOUDFLARE_TOKEN} is set",
            remedy="source .local/env, or set a token that may write R2 and account tokens",
        )
    source.token_id()
    return Finding(
        check="Cloudflare token",
        outcome="ok",
        what=f"active at {urlsplit(source.cloudflare_url).netloc}",
    )


def _run_token(source: Source) -> Finding:
    trial = token_trial.tried(source)
    what, remedy = token_trial.in_words(trial)
    outcome: Outcome = "ok" if trial.outcome == "made" else trial.outcome
    return Finding(check=RUN_TOKEN, outcome=outcome, what=what, remedy=remedy)


def _bucket(source: Source) -> Finding:
    bucket = source.bucket
    with bucket.explained("list"):
        bucket.client.list_objects_v2(Bucket=bucket.name, MaxKeys=1)
    return Finding(
        check="bucket", outcome="ok", what=f"{bucket.name} at {urlsplit(bucket.endpoint).netloc}"
    )


def _ionet(source: Source) -> Finding:
    _living(source)
    base = source.environ.get("IONET_BASE_URL") or DEFAULT_BASE_URL
    return Finding(
        check="io.net key",
        outcome="ok",
        what=f"may list deployments at {urlsplit(base).netloc}",
    )


def _rented(source: Source) -> Finding:
    """Tell of machines that bill while the stack's state does not know them."""
    check = "rented machines"
    rows, known = _living(source), machines.known_ids(source)
    strangers = [row for row in rows if known is not None and row.id not in known]
    if rows and known is None:
        count = formats.plural(len(rows), "live machine")
        what, remedy = (
            f"{count} at io.net, and no stack to compare with",
            "look with `python -m runs reap`",
        )
        return Finding(check=check, outcome="unknown", what=what, remedy=remedy)
    if strangers:
        return Finding(
            check=check,
            outcome="unknown",
            what=f"{len(strangers)} of {len(rows)} live at io.net not in this stack's state",
            remedy="of another stack, or of none and billing: see `python -m runs reap`",
        )
    what = f"{len(rows)} live at io.net, all in this stack's state" if rows else "none at io.net"
    return Finding(check=check, outcome="ok", what=what)


def _living(source: Source) -> list[DeploymentRow]:
    client = machines.open_client(source, read_timeout_s=IONET_READ_TIMEOUT_S, retry_for_s=0)
    return machines.living(client)


def _registry(source: Source) -> Finding:
    check = "registry"
    environ, config = source.environ, source.config
    server = environ.get("REGISTRY_SERVER") or config.get("registryServer") or registry.DOCKER_HUB
    # As `pulumi up` does (components/config/settings.py): here the stack's config wins.
    user = config.get("registryUsername") or environ.get("REGISTRY_USERNAME", "")
    secret = source.secret_config(REGISTRY_SECRET) or environ.get("REGISTRY_SECRET", "")
    login = (user, secret) if user and secret else None
    try:
        with waiting(f"registry {server}", at_most_s=registry.KNOCKED_WITHIN_S):
            status = registry.knock(server, login)
    except registry.RealmRefusedError as error:
        raise AccessRefusedError(str(error)) from None
    if status == requests.codes.ok:
        who = f"as {user}" if login else "without a login: public images only"
        return Finding(check=check, outcome="ok", what=f"{server} lets in, {who}")
    if status in (401, 403):
        return Finding(
            check=check,
            outcome="refused",
            what=f"{server} refused {f'user {user}' if login else 'entry without a login'}",
            remedy=f"`pulumi config set {REGISTRY_USER} NAME` and "
            f"`pulumi config set --secret {REGISTRY_SECRET}`",
        )
    return Finding(check=check, outcome="unknown", what=f"not checked: {server} said {status}")


def _docker(source: Source) -> Finding:
    """Tell of the engine that builds the image; only `pulumi up` of a changed one needs it."""
    with waiting("Docker engine", at_most_s=docker_daemon.ANSWER_WITHIN_S):
        found = docker_daemon.look(source.environ)
    return Finding(
        check="Docker engine", outcome=found.outcome, what=found.what, remedy=found.remedy
    )


def _fetched(source: Source) -> Finding:
    with waiting("what a machine fetches", at_most_s=fetched_files.AT_MOST_S):
        found = fetched_files.look(source.config)
    return Finding(
        check="fetched on paid time", outcome=found.outcome, what=found.what, remedy=found.remedy
    )


def _wandb(source: Source) -> Finding:
    check, key = "W&B key", source.secret_config(WANDB_KEY)
    if not key:
        return Finding(check=check, outcome="ok", what="none: no run reports to W&B")
    with waiting("W&B", at_most_s=wandb_login.TIMEOUT_S):
        answer = wandb_login.ask(key, env=source.environ)
    if answer.outcome == "allowed":
        return Finding(check=check, outcome="ok", what="W&B takes it")
    if answer.outcome == "refused":
        return Finding(
            check=check,
            outcome="refused",
            what=answer.why,
            remedy=f"`pulumi config set --secret {WANDB_KEY}`",
        )
    return Finding(check=check, outcome="unknown", what=f"not checked: {answer.why}")


def _machines(source: Source) -> Iterator[Finding]:
    for target in source.targets:
        if not target.status_url:
            continue
        live = read_live_status(target.status_url)
        yield Finding(
            check=f"machine of {target.run}",
            outcome="ok" if live else "unknown",
            what=f"attempt {live.attempt}, {live.outcome or live.stage}" if live else "no answer",
            remedy=""
            if live
            else "gone, starting or not reachable from here: see `python -m runs status`",
        )
