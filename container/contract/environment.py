"""The container's environment variables as one frozen value, written and read by one table.

The operator's program writes them (`to_env`, `written`), the container reads them
(`from_env`); which of them a stage may see is decided here too. Standard library only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from container.contract import variable_text as texts
from container.contract.pasted import cleaned, flaw
from container.contract.redacted import without_secrets
from container.contract.upstream import HUB_MIRROR

NO_WANDB_RUN: Final = "dummy"  # nanochat's name for a run that reports nothing

GUIDES_RECIPE: Final = "nanochat-speedrun"
"""What a container trains that was told no recipe: the guide's run."""

DEFAULT_RUN = "main"
"""The name of a stack's one run, where its config has no `runs`."""


class BadEnvironmentError(ValueError):
    """The container was started with variables missing or malformed; names all of them."""


@dataclass(frozen=True, kw_only=True)
class RunEnvironment:
    """What the container was asked to do."""

    run: str
    prefix: str = ""  # none was given: the container claims one in the bucket
    recipe: str = GUIDES_RECIPE
    settings: Mapping[str, Any]
    endpoint: str
    bucket: str
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    wandb_api_key: str = field(default="", repr=False)
    notify_url: str = field(default="", repr=False)
    ping_url: str = field(default="", repr=False)
    wandb_run: str = NO_WANDB_RUN
    keep_alive: bool = False
    image_digest: str = ""
    gpu_type: str = "CPU"
    gpu_rented: str = ""  # the offer's own name of it: "H100" may have been answered by a PCIe
    gpus_per_container: int = 1
    duration_hours: int = 0
    price_usd_per_hour: Decimal = Decimal(0)
    device_batch_size: int = 0
    mirror_url: str = ""
    hub_mirror: str = ""  # read by the hub's libraries, in the stages
    traffic_port: int = 8000
    work_dir: Path = Path("/workspace")
    # Between SIGTERM and SIGKILL: Nomad, which io.net is said to use, leaves five seconds unless a
    # job says otherwise, and Docker ten.
    stop_grace_s: float = 5.0
    nanochat_commit: str = ""
    rental: str = ""  # the private name that it was rented under: tells whose bought time is told
    fingerprint: str = ""  # read by nobody here: the program finds its machine again by it

    @property
    def expects_gpu(self) -> bool:
        """Whether GPUs were ordered."""
        return self.gpu_type != "CPU"

    @property
    def gpu(self) -> str:
        """Name of the GPU that was rented, as far as its offer told, else of the one ordered."""
        return self.gpu_rented or self.gpu_type

    @property
    def world_size(self) -> int:
        """Number of training processes."""
        return self.gpus_per_container if self.expects_gpu else 1

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> RunEnvironment:
        """Read the variables; raises one BadEnvironmentError that names every bad one."""
        values: dict[str, Any] = {"run": "main", "settings": {}}
        problems: list[str] = []
        for variable in VARIABLES:
            text = cleaned(variable.text(env))
            if not text:
                if variable.required:
                    problems.append(f"{variable.told} is not set")
                continue  # the field's default is the variable's
            if variable.is_told_twice(env):
                problems.append(
                    f"{variable.guides} and {variable.name} are two names of one variable and "
                    "hold different values"
                )
                continue
            if variable.by == "secret" and (wrong := flaw(variable.told, text)):
                problems.append(wrong)
                continue
            try:
                values[variable.field] = variable.read(text)
            except ValueError as error:
                problems.append(f"{variable.told}{error}")
        if problems:
            raise BadEnvironmentError(
                without_secrets("the container's environment is not usable: " + "; ".join(problems))
            )
        return cls(**values)

    def to_env(self) -> dict[str, str]:
        """Return the plain variables that the program declares for this run.

        Not among them: what only the rental knows, and what the image sets itself.
        """
        return written(**{v.field: getattr(self, v.field) for v in VARIABLES if v.by == "program"})


def written(**values: object) -> dict[str, str]:
    """Return the variables of these fields; no empty ones, which read as their default.

    Raises KeyError for a field that has no variable.
    """
    by_field = {variable.field: variable for variable in VARIABLES}
    found = {by_field[name].name: by_field[name].write(value) for name, value in values.items()}
    return {name: text for name, text in found.items() if text}


def meaning(env: Mapping[str, str], *, kept_when_live: bool = False) -> dict[str, object]:
    """Return what a container would be asked for: what tells two rentals apart, by variable.

    Layout is not meaning: a variable at its default equals one that is not there, and one that the
    container does not read counts for nothing. Left out is what a live machine keeps as it was
    rented, and what the rental, the secret store or the image gives.
    """
    return {
        variable.name: variable.meaning(env)
        for variable in VARIABLES
        if variable.by == "program" and variable.kept_when_live == kept_when_live
    }


def differing(
    old: Mapping[str, str], new: Mapping[str, str], *, kept_when_live: bool = False
) -> tuple[str, ...]:
    """Return the variables by which two containers would be asked for something else.

    With `kept_when_live` those that a live machine keeps, instead of those that tell rentals apart.
    """
    before = meaning(old, kept_when_live=kept_when_live)
    after = meaning(new, kept_when_live=kept_when_live)
    return tuple(name for name in before if before[name] != after[name])


def _text(value: str) -> str:
    return value


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One environment variable and the field of RunEnvironment that it is.

    `by` says who gives it its value: the program's declaration, the rental (known when the machine
    is rented), the vendor's secret store, or the image itself. What is `kept_when_live` replaces no
    machine: it is for the next rental. `read` raises ValueError with what follows the name in the
    message.

    `name` is what the program writes: older images know no other, and machines are found again by
    it. `guides` is the guide's name, where that is another one: read as well, and told to people.
    """

    name: str
    field: str
    guides: str = ""
    by: Literal["program", "rental", "secret", "image"] = "program"
    required: bool = False
    kept_when_live: bool = False
    read: Callable[[str], Any] = _text
    write: Callable[[object], str] = str

    @property
    def told(self) -> str:
        """The name that messages tell."""
        return self.guides or self.name

    def text(self, env: Mapping[str, Any]) -> Any:
        """Return what stands in an environment under either name, "" for nothing."""
        return env.get(self.name, "") or env.get(self.guides, "")

    def is_told_twice(self, env: Mapping[str, str]) -> bool:
        """Whether both names are set, to different values."""
        told = {cleaned(env.get(name, "")) for name in (self.name, self.guides)}
        return len(told - {""}) > 1

    def meaning(self, env: Mapping[str, object]) -> object:
        """Return what the container would make of it: the default where it is not set.

        A value that is not known yet, in a preview, stays what it is.
        """
        text = self.text(env)
        if not text:
            return _DEFAULTS.get(self.field)
        if not isinstance(text, str):
            return text
        try:
            return self.read(text)
        except ValueError:
            return text


VARIABLES: tuple[Variable, ...] = (
    Variable(name="RUN_NAME", field="run"),
    Variable(name="RUN_PREFIX", field="prefix", read=texts.prefix),
    Variable(name="RECIPE", field="recipe"),
    Variable(
        name="RECIPE_SETTINGS", field="settings", read=texts.json_object, write=texts.json_text
    ),
    Variable(name="R2_ENDPOINT", field="endpoint", guides="R2_ENDPOINT_URL", required=True),
    Variable(name="R2_BUCKET", field="bucket", guides="R2_BUCKET_NAME", required=True),
    Variable(name="R2_ACCESS_KEY_ID", field="access_key_id", by="secret", required=True),
    Variable(name="R2_SECRET_ACCESS_KEY", field="secret_access_key", by="secret", required=True),
    Variable(name="ACCESS_TOKEN", field="access_token", by="secret"),
    Variable(name="WANDB_API_KEY", field="wandb_api_key", by="secret"),
    Variable(name="NOTIFY_URL", field="notify_url", by="secret"),
    Variable(name="PING_URL", field="ping_url", by="secret"),
    Variable(name="WANDB_RUN", field="wandb_run"),
    Variable(name="KEEP_ALIVE", field="keep_alive", read=texts.switch, write=texts.lower),
    Variable(name="IMAGE_DIGEST", field="image_digest", by="rental"),
    Variable(name="GPU_TYPE", field="gpu_type"),
    Variable(name="GPU_RENTED", field="gpu_rented", by="rental"),
    Variable(name="GPUS_PER_CONTAINER", field="gpus_per_container", read=texts.whole),
    Variable(name="DURATION_HOURS", field="duration_hours", by="rental", read=texts.whole),
    Variable(name="PRICE_USD_PER_HOUR", field="price_usd_per_hour", by="rental", read=texts.money),
    Variable(name="RENTAL_NAME", field="rental", by="rental"),
    Variable(name="FINGERPRINT", field="fingerprint", by="rental"),
    Variable(name="DEVICE_BATCH_SIZE", field="device_batch_size", read=texts.whole),
    Variable(name="DATASET_MIRROR_URL", field="mirror_url", read=texts.address),
    Variable(name=HUB_MIRROR, field="hub_mirror", kept_when_live=True, read=texts.address),
    Variable(name="TRAFFIC_PORT", field="traffic_port", kept_when_live=True, read=texts.whole),
    Variable(name="WORK_DIR", field="work_dir", by="image", read=Path),
    Variable(
        name="STOP_GRACE_S",
        field="stop_grace_s",
        kept_when_live=True,
        read=texts.seconds,
        write=texts.whole_seconds,
    ),
    Variable(name="NANOCHAT_COMMIT", field="nanochat_commit", by="image"),
)

RENTAL_NAMES = frozenset(variable.name for variable in VARIABLES if variable.by == "rental")

NAMES = {variable.field: variable.name for variable in VARIABLES}
"""By field, the name that the program writes."""

READ_NAMES = frozenset(
    name for variable in VARIABLES for name in (variable.name, variable.guides) if name
)
"""All names that the container reads."""

_DEFAULTS: dict[str, object] = {
    "run": "main",
    "settings": {},
    **{
        one.name: one.default
        for one in dataclasses.fields(RunEnvironment)
        if one.default is not dataclasses.MISSING
    },
}

# The two AWS names are not ours: an SDK in a stage would take a key from them.
SECRET_NAMES = (
    *(variable.name for variable in VARIABLES if variable.by == "secret"),
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
# Ours; a stage has no use for them, and what it cannot see it cannot print.
_OWN_FIELDS = ("endpoint", "bucket", "settings", "prefix")
OWN_NAMES = frozenset(
    name for one in VARIABLES if one.field in _OWN_FIELDS for name in (one.name, one.guides) if name
)


def stage_environment(
    env: Mapping[str, str], *, credentials: bool, bare: bool = False
) -> dict[str, str]:
    """Return the variables that a stage process may see: no storage credential, no token.

    With `credentials` WANDB_API_KEY stays. With `bare`, for processes that run what the model
    wrote, only what a program needs to start is left, and where question sets are looked up.
    """
    if bare:
        start = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "VIRTUAL_ENV")
        wanted = {*start, HUB_MIRROR}
        keep = {name: value for name, value in env.items() if name in wanted}
        prefixes = ("CUDA_", "NVIDIA_", "OMP_", "TORCH")
        keep |= {name: value for name, value in env.items() if name.startswith(prefixes)}
        return keep | {"HOME": "/tmp"}  # noqa: S108  # the conventional home of nobody
    hidden = set(SECRET_NAMES) | set(OWN_NAMES)
    if credentials:
        hidden.discard("WANDB_API_KEY")
    return {name: value for name, value in env.items() if name not in hidden}
