"""A local cloud and a stack of the benchmarks' own, beside those of `make up` and of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.figures import ROOT
from container.transport.r2 import make_client
from localcloud import env_file, services
from localcloud.place import Place, load_place
from localcloud.pulumi import engine
from localcloud.pulumi.plugins.install import install_plugins
from localcloud.pulumi.stack import base_environment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STACK = "bench"


def say(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)


@contextmanager
def local_world() -> Iterator[dict[str, str]]:
    """Yield the environment of a local cloud under `.local/bench`, stopped at the end."""
    os.environ["TRAINSTACK_LOCAL_DIR"] = str(ROOT / ".local" / "bench")
    try:
        bin_dir = engine.ensure_engine(say)
        services.start(say)
        env = env_file.environment(load_place(), base=base_environment())
        install_plugins(bin_dir / "pulumi", env)
        yield env
    finally:
        services.stop(say)
        del os.environ["TRAINSTACK_LOCAL_DIR"]


@contextmanager
def bucket(place: Place, name: str) -> Iterator[S3Client]:
    """Make a bucket in the local S3 server; yield the operator's client; delete it at the end."""
    client = make_client(
        endpoint=place.s3_url,
        access_key_id=place.operator_token_id,
        secret_access_key=place.operator_s3_secret,
    )
    with suppress(client.exceptions.NoSuchBucket):
        _delete_bucket(client, name)  # of a run that was killed
    client.create_bucket(Bucket=name)
    # A SeaweedFS that was started again assigns no volume for 15 s: that is not what is measured.
    client.put_object(Bucket=name, Key="first", Body=b"x")
    client.delete_object(Bucket=name, Key="first")
    try:
        yield client
    finally:
        _delete_bucket(client, name)


@contextmanager
def stack(env: Mapping[str, str], settings: dict[str, Any]) -> Iterator[list[str]]:
    """Make a stack of the real program; yield the flags that select it; destroy it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="trainstack-bench-"))
    file = folder / f"Pulumi.{STACK}.yaml"
    config = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())
    config["config"].update({f"trainstack:{key}": value for key, value in settings.items()})
    file.write_text(yaml.safe_dump(config))
    pulumi(env, "stack", "select", "--create", STACK)
    # The engine writes the stack's salt into the checkout; our own config file has one.
    (ROOT / f"Pulumi.{STACK}.yaml").unlink(missing_ok=True)
    flags = ["--stack", STACK, "--config-file", str(file)]
    try:
        yield flags
    finally:
        pulumi(env, "destroy", "--yes", "--skip-preview", *flags)
        pulumi(env, "stack", "rm", "--yes", "--stack", STACK)
        shutil.rmtree(folder)


def pulumi(env: Mapping[str, str], *words: str, cwd: Path = ROOT) -> str:
    """Run the engine; return what it printed; raises with it when the command failed."""
    done = subprocess.run(
        ["pulumi", *words, "--non-interactive"],
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"pulumi {' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _delete_bucket(client: S3Client, name: str) -> None:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket=name, Key=entry.get("Key", ""))
    client.delete_bucket(Bucket=name)
