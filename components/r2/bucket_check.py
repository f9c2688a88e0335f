"""Asks the installed cloudflare provider whether it takes a bucket, before there is one.

The engine asks it too, but only about what is declared, and a bucket is declared after it was made:
an update without a preview would leave behind what the provider then refuses. It starts the plugin
that the engine will start, asks one question, and ends it; an unclear answer is none.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from threading import Timer
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from components.r2.cloudflare import CloudflareError

PROGRAM = "pulumi-resource-cloudflare"
BUCKET = "cloudflare:index/r2Bucket:R2Bucket"
URN = f"urn:pulumi:ask::ask::{BUCKET}::bucket"
NO_ENGINE = "127.0.0.1:0"
"""A plugin wants the address of its engine, to log there; this one says nothing to anybody."""

ANSWERS_WITHIN_S = 60.0
"""The official one is a program of some 100 MB, and takes seconds to start."""


def require_taken(
    inputs: Mapping[str, str],
    *,
    env: Mapping[str, str] = os.environ,
    within_s: float = ANSWERS_WITHIN_S,
) -> None:
    """Raise CloudflareError when the installed provider refuses a bucket of these inputs.

    Says nothing where it takes them, is not installed yet, or gives no clear answer.
    """
    plugin = _installed(env)
    reasons = _refusals(plugin, inputs, env=env, within_s=within_s) if plugin else []
    if reasons:
        raise CloudflareError(
            f"bucket {inputs['name']} was not made: the cloudflare provider in {plugin} refuses "
            f"it: {'; '.join(reasons)}. One older than {_version()} may not know "
            f"trainstack:jurisdiction = {inputs['jurisdiction']}: delete it, and Pulumi gets that "
            "version; or choose another trainstack:jurisdiction."
        )


def _refusals(
    plugin: Path, inputs: Mapping[str, str], *, env: Mapping[str, str], within_s: float
) -> list[str]:
    try:
        with subprocess.Popen(
            [plugin, NO_ENGINE],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ) as process:
            limit = Timer(within_s, _end, (process,))
            limit.start()
            try:
                return _ask(process, inputs, within_s=within_s)
            finally:
                limit.cancel()
                _end(process)
    except (OSError, ValueError, grpc.RpcError):
        return []


def _installed(env: Mapping[str, str]) -> Path | None:
    """Return the plugin that the engine will start: on PATH, else in PULUMI_HOME."""
    ambient = env.get("PULUMI_IGNORE_AMBIENT_PLUGINS", "").lower() not in ("true", "1")
    if ambient and (there := shutil.which(PROGRAM, path=env.get("PATH", ""))):
        return Path(there)
    home = Path(env.get("PULUMI_HOME") or Path.home() / ".pulumi")
    plugin = home / "plugins" / f"resource-cloudflare-v{_version()}" / PROGRAM
    return plugin if os.access(plugin, os.X_OK) else None


def _ask(
    process: subprocess.Popen[str], inputs: Mapping[str, str], *, within_s: float
) -> list[str]:
    if process.stdout is None:
        return []
    port = int(process.stdout.readline())
    news = Struct()
    news.update(inputs)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        provider: Any = provider_pb2_grpc.ResourceProviderStub(channel)
        request = provider_pb2.CheckRequest(urn=URN, news=news)
        answer = provider.Check(request, timeout=within_s)
    return [str(failure.reason).rstrip(".") for failure in answer.failures]


def _end(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _version() -> str:
    """Return the version of the SDK, which is exactly the one that the engine takes."""
    return metadata.version("pulumi-cloudflare")
