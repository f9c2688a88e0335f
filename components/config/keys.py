"""The stack's config keys: types, limits, defaults; pure, no environment.

What is said of a bad one: refusals.py. A description says what is allowed, and ends that sentence.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)

from components.config.countries import NAMES as COUNTRIES
from container.contract.pasted import cleaned
from container.contract.redacted import has_secrets

PROJECT_NAMESPACE = "trainstack"
MAX_HOURS = 168
"""A run's credentials are made for the longest rental that the config allows."""

AUTO: Final = "auto"
"""As many hours as the run needs on the machine that is found, with a margin: hours.py."""

MAX_RUNS = 64


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false count as 1 and 0 otherwise")
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\s*", value):
        raise ValueError("Python reads 1_0 as 10, and the digits of every script")
    return value


def _flag(value: Any) -> Any:
    """Take what YAML and `pulumi config set` make of true and false, and no other spelling."""
    for flag in (True, False):
        if value is flag or (isinstance(value, str) and value.lower() == str(flag).lower()):
            return flag
    raise ValueError("neither true nor false")


def _hours(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    try:
        return _WHOLE_HOURS.validate_python(value)
    except ValidationError:
        raise ValueError("neither auto nor whole hours") from None


def _models(value: Any) -> Any:
    """Return several GPUs as one text; YAML makes a number of a model such as 4090 in a list."""
    if not isinstance(value, list):
        return value
    models = [str(one) if type(one) is int else one for one in cast("list[Any]", value)]
    if not all(isinstance(one, str) for one in models):
        raise ValueError("a model is a text")
    return MODELS_APART.join(cleaned(one) for one in models)


def _country(value: str) -> str:
    code = cleaned(value).upper()
    if code not in COUNTRIES:
        raise ValueError("no country")
    return code


def _public(value: Any) -> Any:
    if isinstance(value, str) and has_secrets(value):
        raise ValueError(HOLDS_SECRET)
    return value


def _cleaned(value: Any) -> Any:
    return cleaned(value) if isinstance(value, str) else value


def _address(value: Any) -> Any:
    # Whatever stands before an @ here is a login, also where it is not spelled as one.
    if isinstance(value, str) and ("@" in value or has_secrets(value)):
        raise ValueError(HOLDS_SECRET)
    return _cleaned(value)


HOLDS_SECRET = "holds a secret"  # noqa: S105 - what is said of one
Number = BeforeValidator(_number)
_WHOLE_HOURS: TypeAdapter[int] = TypeAdapter(Annotated[int, Number, Field(ge=1, le=MAX_HOURS)])
Hours = Annotated[
    int | Literal["auto"],
    PlainValidator(_hours),
    Field(description=f"{AUTO}, or whole hours, 1 to {MAX_HOURS}"),
]
FirstHours = Annotated[
    int,
    Number,
    Field(
        ge=0,
        le=MAX_HOURS,
        description=f"whole hours, 0 (all at once, nothing is checked) to {MAX_HOURS}",
    ),
]
Attempts = Annotated[int, Number, Field(ge=1, le=20, description="a whole number, 1 to 20")]
Gpus = Annotated[int, Number, Field(ge=1, le=8, description="a whole number, 1 to 8")]
Dollars = Annotated[
    Decimal,
    Number,
    Field(
        ge=Decimal("0.01"),
        le=100_000,
        decimal_places=2,
        description="US dollars, 0.01 to 100000, with at most two decimals",
    ),
]
GpuHourDollars = Annotated[
    Decimal,
    Number,
    Field(
        ge=0,
        le=1000,
        decimal_places=2,
        description="US dollars, 0 (no such cap) to 1000, with at most two decimals",
    ),
]
AutoExtend = Annotated[
    int,
    Number,
    Field(ge=0, le=MAX_HOURS, description=f"whole hours, 0 (none) to {MAX_HOURS}"),
]
BatchSize = Annotated[
    int, Number, Field(ge=0, le=4096, description="a whole number, 0 (the recipe's) to 4096")
]
Times = Annotated[
    int, Number, Field(ge=0, le=10**9, description="a whole number, 0 or more (at most a billion)")
]
MODELS_APART: Final = ", "
"""What stands between the GPUs of a run that takes any of several; no name has a comma."""

_MODEL: Final = r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}"
GpuType = Annotated[
    str,
    BeforeValidator(_models),
    Field(
        pattern=rf"^{_MODEL}(, {_MODEL}){{0,7}}\Z",
        description="a model as the catalogue names it, such as H100 or CPU, or a list of at most "
        "8 of them",
    ),
]
RecipeName = Annotated[str, Field(min_length=1, description="the name of a recipe")]
Countries = Annotated[
    list[Annotated[str, AfterValidator(_country)]],
    Field(description="a list of two-letter country codes, such as [FI, US]"),
]
FlatSettings = Annotated[
    dict[str, bool | int | float | Annotated[str, AfterValidator(_public)]],
    Field(description="an object of the recipe's settings, such as {depth: 20}"),
]
BuildArg = Literal["NANOCHAT_SOURCE", "TORCH_INDEX", "PIP_INDEX_URL", "FA3_SOURCE"]
BuildArgs = Annotated[
    dict[BuildArg, Annotated[str, BeforeValidator(_address), Field(pattern=r"^https?://\S+\Z")]],
    Field(
        description="an object of NANOCHAT_SOURCE, TORCH_INDEX, PIP_INDEX_URL and FA3_SOURCE, "
        "each an address"
    ),
]
Mirror = Annotated[
    str,
    BeforeValidator(_address),
    Field(
        pattern=r"^(https?://\S+)?\Z",
        description="an address that begins with https:// or http://, or nothing",
    ),
]
SecretAddress = Annotated[
    str,
    BeforeValidator(_cleaned),
    Field(pattern=r"^(https?://[!-~]+)?\Z", description="an address that begins with https://"),
]
WandbRun = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}\Z",
        description="letters, digits, blanks, . _ and -, at most 128",
    ),
]
Flag = Annotated[bool, BeforeValidator(_flag), Field(description="true or false")]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, regex_engine="python-re")


class RunValues(_Keys):
    """Keys that one run of a sweep may override, with their defaults."""

    recipe: RecipeName = "nanochat-d20"
    recipeSettings: FlatSettings = {}  # noqa: N815 - the names of the config keys
    gpuType: GpuType = "H100"  # noqa: N815
    gpusPerContainer: Gpus = 8  # noqa: N815
    locations: Countries = []
    durationHours: Hours = AUTO  # noqa: N815
    firstHours: FirstHours = 1  # noqa: N815
    attempts: Attempts = 3
    maxCostUsd: Dollars = Decimal(150)  # noqa: N815
    maxUsdPerGpuHour: GpuHourDollars = Decimal(0)  # noqa: N815
    autoExtend: AutoExtend = 0  # noqa: N815
    deviceBatchSize: BatchSize = 0  # noqa: N815
    keepAlive: Flag = False  # noqa: N815
    wandbRun: WandbRun = "dummy"  # noqa: N815
    rerun: Times = 0
    renew: Times = 0


class RunKeys(_Keys):
    """The same keys of one run of a sweep; None is "as the stack says"."""

    recipe: RecipeName | None = None
    recipeSettings: FlatSettings | None = None  # noqa: N815 - the names of the config keys
    gpuType: GpuType | None = None  # noqa: N815
    gpusPerContainer: Gpus | None = None  # noqa: N815
    locations: Countries | None = None
    durationHours: Hours | None = None  # noqa: N815
    firstHours: FirstHours | None = None  # noqa: N815
    attempts: Attempts | None = None
    maxCostUsd: Dollars | None = None  # noqa: N815
    maxUsdPerGpuHour: GpuHourDollars | None = None  # noqa: N815
    autoExtend: AutoExtend | None = None  # noqa: N815
    deviceBatchSize: BatchSize | None = None  # noqa: N815
    keepAlive: Flag | None = None  # noqa: N815
    wandbRun: WandbRun | None = None  # noqa: N815
    rerun: Times | None = None
    renew: Times | None = None


RunName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")]


class StackKeys(RunValues):
    cloud: Annotated[Literal["io.net", "local"], Field(description='"io.net" or "local"')] = (
        "io.net"
    )
    cloudflareAccountId: Annotated[  # noqa: N815
        str,
        Field(
            pattern=r"^[0-9a-f]{32}\Z",
            description="32 hex digits in quotes, from Cloudflare's dashboard",
        ),
    ]
    bucket: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]\Z",
            description="3 to 63 lower-case letters, digits and hyphens, no hyphen at the ends",
        ),
    ]
    jurisdiction: Annotated[
        Literal["default", "eu", "fedramp", "us"], Field(description="default, eu, fedramp or us")
    ] = "default"
    registryServer: Annotated[  # noqa: N815
        str,
        Field(
            pattern=r"^[A-Za-z0-9.-]+(:[0-9]+)?\Z",
            description="a host name with or without a port, such as docker.io or ghcr.io",
        ),
    ] = "docker.io"
    imageRepository: Annotated[  # noqa: N815
        str,
        Field(
            pattern=r"^[a-z0-9]+([._/-]+[a-z0-9]+)*\Z",
            description="a repository without server and tag, such as somebody/trainstack",
        ),
    ]
    nanochatCommit: Annotated[  # noqa: N815
        str,
        Field(
            # Digits alone are what YAML made of a hash. What else is no hash is answered with the
            # commits that work (container/contract/commits.py).
            pattern=r"^([0-9a-f]{7,40}|[0-9]*[A-Za-z._/-][A-Za-z0-9._/-]{0,99})?\Z",
            description="7 to 40 hex digits in quotes, or nothing",
        ),
    ] = ""
    cudaBase: Annotated[  # noqa: N815
        str,
        BeforeValidator(_public),
        Field(pattern=r"^\S{0,256}\Z", description="an image reference, or nothing"),
    ] = ""
    buildArgs: BuildArgs = {}  # noqa: N815
    flashAttention: Annotated[  # noqa: N815
        str,
        Field(
            pattern=r"^(none|[0-9a-f]{40}(@sha256:[0-9a-f]{64})?)?\Z",
            description="REVISION or REVISION@sha256:HASH in quotes, none, or nothing",
        ),
    ] = ""
    datasetMirror: Mirror = ""  # noqa: N815
    hubMirror: Mirror = ""  # noqa: N815
    readyTimeoutMinutes: Annotated[  # noqa: N815
        int, Number, Field(ge=1, le=180, description="whole minutes, 1 to 180")
    ] = 30
    stopGraceSeconds: Annotated[  # noqa: N815
        int, Number, Field(ge=5, le=600, description="whole seconds, 5 to 600")
    ] = 5
    runs: Annotated[
        dict[RunName, RunKeys],
        Field(
            max_length=MAX_RUNS,
            description=f"an object of at most {MAX_RUNS} runs by name, such as "
            "{short: {}, long: {durationHours: 8}}",
        ),
    ] = {}
    ionetApiKey: str = ""  # noqa: N815
    registryUsername: str = ""  # noqa: N815
    registrySecret: str = ""  # noqa: N815
    wandbApiKey: str = ""  # noqa: N815
    notifyUrl: SecretAddress = ""  # noqa: N815
    pingUrl: SecretAddress = ""  # noqa: N815


def values_of(stack: StackKeys, run: RunKeys) -> RunValues:
    """Return a run's keys: its own where it has them, else the stack's.

    Settings are merged with the stack's, unless the run has another recipe: then the stack's belong
    to another one.
    """
    own = run.model_dump(exclude_none=True)
    merged = {**stack.model_dump(include=set(RunValues.model_fields)), **own}
    if merged["recipe"] == stack.recipe:
        merged["recipeSettings"] = {**stack.recipeSettings, **(run.recipeSettings or {})}
    else:
        merged["recipeSettings"] = run.recipeSettings or {}
    return RunValues.model_validate(merged)


STAND_INS: dict[str, Any] = {
    "cloudflareAccountId": "0" * 32,
    "bucket": "not-given",
    "imageRepository": "not-given",
}
"""For required keys that are bad or missing, so that the other keys can be checked all the same."""
