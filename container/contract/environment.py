"""The container's environment variables as one frozen value; which of them a stage may see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, cast

SECRET_NAMES = (
    "R2_ACCESS_KEY_ID",
    "R2_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "ACCESS_TOKEN",
    "WANDB_API_KEY",
)
# Ours; a stage has no use for them, and what it cannot see it cannot print.
OWN_NAMES = ("R2_ENDPOINT", "R2_BUCKET", "RECIPE_SETTINGS", "RUN_PREFIX")


class BadEnvironmentError(ValueError):
    """The container was started with variables missing or malformed; names all of them."""


@dataclass(frozen=True, kw_only=True)
class RunEnvironment:
    """What the container was asked to do."""

    run: str
    prefix: str
    recipe: str
    settings: Mapping[str, Any]
    endpoint: str
    bucket: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    access_token: str = field(default="", repr=False)
    wandb_api_key: str = field(default="", repr=False)
    wandb_run: str = "dummy"
    keep_alive: bool = False
    image_digest: str = ""
    gpu_type: str = "CPU"
    gpus_per_container: int = 1
    duration_hours: int = 0
    price_usd_per_hour: Decimal = Decimal(0)
    device_batch_size: int = 0
    mirror_url: str = ""
    traffic_port: int = 8000
    work_dir: Path = Path("/workspace")
    # Between SIGTERM and SIGKILL: Nomad, which io.net is said to use, leaves five seconds unless a
    # job says otherwise, and Docker ten.
    stop_grace_s: float = 5.0
    nanochat_commit: str = ""

    @property
    def expects_gpu(self) -> bool:
        """Whether GPUs were ordered."""
        return self.gpu_type != "CPU"

    @property
    def world_size(self) -> int:
        """Number of training processes."""
        return self.gpus_per_container if self.expects_gpu else 1

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> RunEnvironment:
        """Read the variables; raises one BadEnvironmentError that names every bad one."""
        reader = _Reader(env)
        found = cls(
            run=reader.text("RUN_NAME", "main"),
            prefix=reader.required("RUN_PREFIX").strip("/"),
            recipe=reader.required("RECIPE"),
            settings=reader.json_object("RECIPE_SETTINGS"),
            endpoint=reader.required("R2_ENDPOINT"),
            bucket=reader.required("R2_BUCKET"),
            access_key_id=reader.required("R2_ACCESS_KEY_ID"),
            secret_access_key=reader.required("R2_SECRET_ACCESS_KEY"),
            access_token=reader.text("ACCESS_TOKEN"),
            wandb_api_key=reader.text("WANDB_API_KEY"),
            wandb_run=reader.text("WANDB_RUN", "dummy"),
            keep_alive=reader.switch("KEEP_ALIVE"),
            image_digest=reader.text("IMAGE_DIGEST"),
            gpu_type=reader.text("GPU_TYPE", "CPU"),
            gpus_per_container=reader.whole("GPUS_PER_CONTAINER", 1),
            duration_hours=reader.whole("DURATION_HOURS", 0),
            price_usd_per_hour=reader.money("PRICE_USD_PER_HOUR"),
            device_batch_size=reader.whole("DEVICE_BATCH_SIZE", 0),
            mirror_url=reader.text("DATASET_MIRROR_URL").rstrip("/"),
            traffic_port=reader.whole("TRAFFIC_PORT", 8000),
            work_dir=Path(reader.text("WORK_DIR", "/workspace")),
            stop_grace_s=float(reader.whole("STOP_GRACE_S", 5)),
            nanochat_commit=reader.text("NANOCHAT_COMMIT"),
        )
        if reader.problems:
            raise BadEnvironmentError(
                "the container's environment is not usable: " + "; ".join(reader.problems)
            )
        return found


def stage_environment(
    env: Mapping[str, str], *, credentials: bool, bare: bool = False
) -> dict[str, str]:
    """Return the variables that a stage process may see: no storage credential, no token.

    With `credentials` WANDB_API_KEY stays. With `bare`, for processes that run what the model
    wrote, only what a program needs to start is left.
    """
    if bare:
        wanted = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
        keep = {name: value for name, value in env.items() if name in wanted}
        prefixes = ("CUDA_", "NVIDIA_", "OMP_", "TORCH")
        keep |= {name: value for name, value in env.items() if name.startswith(prefixes)}
        return keep | {"HOME": "/tmp"}  # noqa: S108  # the conventional home of nobody
    hidden = set(SECRET_NAMES) | set(OWN_NAMES)
    if credentials:
        hidden.discard("WANDB_API_KEY")
    return {name: value for name, value in env.items() if name not in hidden}


class _Reader:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._env.get(name, "") or default

    def required(self, name: str) -> str:
        value = self._env.get(name, "")
        if not value:
            self.problems.append(f"{name} is not set")
        return value

    def switch(self, name: str) -> bool:
        value = self._env.get(name, "").lower()
        if value not in ("", "true", "false", "1", "0"):
            self.problems.append(f"{name}={value!r} is neither true nor false")
        return value in ("true", "1")

    def whole(self, name: str, default: int) -> int:
        value = self._env.get(name, "")
        if not value:
            return default
        try:
            number = int(value)
        except ValueError:
            number = -1
        if number < 0:
            self.problems.append(f"{name}={value!r} is not a whole number")
        return number

    def money(self, name: str) -> Decimal:
        value = self._env.get(name, "") or "0"
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or number < 0:
            self.problems.append(f"{name}={value!r} is not an amount")
            return Decimal(0)
        return number

    def json_object(self, name: str) -> dict[str, Any]:
        value = self._env.get(name, "") or "{}"
        try:
            found: object = json.loads(value)
        except ValueError as error:
            self.problems.append(f"{name} is not JSON ({error})")
            return {}
        if not isinstance(found, dict):
            self.problems.append(f"{name} is not a JSON object")
            return {}
        return cast("dict[str, Any]", found)
