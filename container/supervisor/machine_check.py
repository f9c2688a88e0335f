"""Checks the machine before the money goes: each check passed, refused or unknown.

A refusal ends the attempt while it is cheap. Unknown never blocks; it says what was not checked.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from container.contract.clock import Clock
from container.contract.environment import RunEnvironment
from container.contract.gpu_name import GpuName
from container.contract.keys import PROBE_PREFIX
from container.contract.recipe import Recipe, slowness
from container.contract.upstream import KERNEL_PLACE, WITHOUT_KERNEL
from container.storage.bucket import (
    BucketError,
    BucketRefusedError,
    ObjectChangedError,
    RunBucket,
    translated,
)
from container.storage.retry import retry_briefly

PROBE_BYTES = 8 * 2**20
PLENTY_OF_SHM = 2**30
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # the mount itself is asked about
LEAST_OF_A_GB = 9 * 10**8  # the driver keeps some, and 80 GB are sold as either kind of gigabyte
HOPPER = frozenset({"H100", "H200", "H800", "H20", "GH200"})
ATTENTION_REVISION = Path(KERNEL_PLACE)
OF_RUN = frozenset({"bucket", "bucket delete"})
MOST_CLOCK_SKEW_S = 600.0  # S3 signatures are refused from 15 minutes on

Outcome = Literal["passed", "refused", "unknown"]


@dataclass(frozen=True)
class Check:
    """One answer; `detail` says what was seen, or why it was not."""

    name: str
    outcome: Outcome
    detail: str

    @property
    def is_of_run(self) -> bool:
        """Whether another machine would meet the same: the bucket and its keys are the run's."""
        return self.name in OF_RUN


@dataclass(frozen=True)
class Gpu:
    """One line of nvidia-smi."""

    model: str
    memory_bytes: int
    driver: str


def verify(
    environment: RunEnvironment, recipe: Recipe, bucket: RunBucket, *, clock: Clock
) -> tuple[list[Check], list[Gpu]]:
    """Run all checks; never raises for what it finds."""
    gpus = list_gpus()
    checks = [
        *_gpu_checks(environment, recipe, gpus),
        _disk(environment, recipe),
        _shm(recipe, world_size=environment.world_size),
        *_attention(recipe, gpus or []),
    ]
    checks += _bucket_checks(bucket, clock=clock, key=f"{PROBE_PREFIX}{secrets.token_hex(4)}")
    return checks, gpus or []


def list_gpus() -> list[Gpu] | None:
    """Return the GPUs that the driver shows, None when it cannot be asked."""
    fields = "name,memory.total,driver_version"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    gpus: list[Gpu] = []
    for line in answer.stdout.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 3 and parts[1].isdigit():
            gpus.append(Gpu(parts[0], int(parts[1]) * 2**20, parts[2]))
    return gpus


def gpu_memory_in_use() -> int | None:
    """Return the bytes in use on all GPUs, None when unknown."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return sum(int(line) for line in answer.stdout.split()) * 2**20
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _gpu_checks(environment: RunEnvironment, recipe: Recipe, gpus: list[Gpu] | None) -> list[Check]:
    if not environment.expects_gpu:
        return [Check("gpus", "passed", "none ordered, none needed")]
    if gpus is None:
        return [Check("gpus", "refused", "nvidia-smi does not work here, but GPUs were ordered")]
    wanted = environment.gpus_per_container
    names = ", ".join(sorted({gpu.model for gpu in gpus})) or "none"
    seen = f"{len(gpus)} of {wanted}: {names}"
    checks = [Check("gpus", "passed" if len(gpus) == wanted else "refused", seen)]
    checks.append(_model(environment, recipe, gpus))
    if gpus and recipe.min_gpu_memory_bytes:
        least = min(gpu.memory_bytes for gpu in gpus)
        enough = least >= recipe.min_gpu_memory_bytes
        detail = f"{_gib(least)} each, {recipe.name} needs {_gib(recipe.min_gpu_memory_bytes)}"
        checks.append(Check("gpu memory", "passed" if enough else "refused", detail))
    checks.append(Check("driver", "passed" if gpus else "unknown", gpus[0].driver if gpus else ""))
    return checks


def _model(environment: RunEnvironment, recipe: Recipe, gpus: list[Gpu]) -> Check:
    """Hold what the driver shows against the offer that was rented.

    An offer that leaves the form open was counted as the one that the recipe is timed for. What is
    no slower than that passes: it was paid less than it is worth.
    """
    name = "gpu model"
    ordered, timed = GpuName.parse(environment.gpu), GpuName.parse(recipe.gpu_type)
    if not ordered.form and ordered.family == timed.family:
        ordered = replace(ordered, form=timed.form)
    if not ordered.is_known:
        return Check(name, "unknown", f"ordered {environment.gpu!r}, a name that is not known here")
    wrong = next((text for gpu in gpus if (text := _not_as_ordered(gpu, ordered))), "")
    return Check(name, "refused" if wrong else "passed", wrong or str(ordered))


def _not_as_ordered(gpu: Gpu, ordered: GpuName) -> str:
    found = GpuName.parse(gpu.model)
    text = f"ordered {ordered}, found {gpu.model}"
    if found.family != ordered.family:
        return text
    if found.form and ordered.form and slowness(str(found)) > slowness(str(ordered)):
        return f"{text}, about {slowness(str(found)) / slowness(str(ordered)):.1f} x slower"
    if gpu.memory_bytes < ordered.memory_gb * LEAST_OF_A_GB:
        return f"{text} with {_gib(gpu.memory_bytes)}, not {ordered.memory_gb} GB"
    return ""


def _attention(recipe: Recipe, gpus: list[Gpu]) -> list[Check]:
    """Only nanochat's recipes on Hopper GPUs take it."""
    if recipe.nanochat is None or not any(
        GpuName.parse(gpu.model).family in HOPPER for gpu in gpus
    ):
        return []
    try:
        revision = ATTENTION_REVISION.read_text("ascii").strip()
    except (OSError, UnicodeError):
        return [Check("Flash Attention 3", "unknown", f"the image has {WITHOUT_KERNEL}")]
    return [Check("Flash Attention 3", "passed", f"in the image at {revision}")]


def _disk(environment: RunEnvironment, recipe: Recipe) -> Check:
    try:
        environment.work_dir.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(environment.work_dir).free
    except OSError as error:
        return Check("disk", "refused", f"{environment.work_dir}: {error.strerror}")
    used = sum(_size(path) for path in environment.work_dir.rglob("*"))  # left by an earlier start
    enough = free + used >= recipe.disk_bytes
    detail = f"{_gib(free)} free, {recipe.name} needs {_gib(recipe.disk_bytes)}"
    return Check("disk", "passed" if enough else "refused", detail)


def _shm(recipe: Recipe, *, world_size: int) -> Check:
    try:
        size = shutil.disk_usage(SHARED_MEMORY).total
    except OSError:
        return Check("shared memory", "unknown", f"{SHARED_MEMORY} cannot be looked at")
    enough = size >= recipe.min_shm_bytes
    detail = f"{_gib(size)}, {recipe.name} needs {_gib(recipe.min_shm_bytes)}"
    if enough and world_size > 1 and size < PLENTY_OF_SHM:
        return Check("shared memory", "unknown", f"{detail}; NCCL needs more without NVLink")
    return Check("shared memory", "passed" if enough else "refused", detail)


def _bucket_checks(bucket: RunBucket, *, clock: Clock, key: str) -> list[Check]:
    body = os.urandom(PROBE_BYTES)
    checks: list[Check] = []
    try:
        up_s, _ = _timed(lambda: bucket.put(key, body))
        down_s, back = _timed(lambda: bucket.get(key))
        listed = bucket.list(key)
        checks.append(
            Check("bucket", "passed", "written, read, listed")
            if back == body and listed.get(key) == len(body)
            else Check("bucket", "refused", "what was written did not come back byte for byte")
        )
        rate = f"{_rate(up_s)} up, {_rate(down_s)} down (one stream, {PROBE_BYTES >> 20} MiB)"
        checks.append(Check("network", "passed", rate))
        checks.append(_conditions(bucket, key))
        checks.append(_skew(bucket, key, clock))
    except BucketRefusedError as error:
        checks.append(Check("bucket", "refused", str(error)))
    except BucketError as error:
        checks.append(Check("bucket", "unknown", str(error)))
    finally:
        try:
            retry_briefly(lambda: bucket.delete(key))
        except BucketError as error:
            checks.append(Check("bucket delete", "unknown", str(error)))
    return checks


def _conditions(bucket: RunBucket, key: str) -> Check:
    """The lease stands on conditional writes: does the server honour them?"""
    try:
        bucket.put(key, b"", only_if_absent=True)
    except ObjectChangedError:
        return Check("conditional writes", "passed", "honoured")
    return Check("conditional writes", "unknown", "not honoured: two containers could both train")


def _skew(bucket: RunBucket, key: str, clock: Clock) -> Check:
    with translated("look at", key):
        answer = bucket.client.head_object(Bucket=bucket.name, Key=bucket.full(key))
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        skew_s = (clock.now() - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return Check("clock", "unknown", "the bucket's answer has no date")
    outcome = "passed" if abs(skew_s) < MOST_CLOCK_SKEW_S else "refused"
    corrected = f", corrected by {-clock.ahead_s:+.0f} s" if clock.ahead_s else ""
    return Check("clock", outcome, f"{skew_s:+.0f} s against the bucket{corrected}")


def _timed(call: Callable[[], object]) -> tuple[float, object]:
    begin = time.monotonic()
    answer = call()
    return max(time.monotonic() - begin, 1e-6), answer


def _rate(seconds: float) -> str:
    return f"{PROBE_BYTES / seconds / 2**20:.0f} MiB/s"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
