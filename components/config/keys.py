"""The stack's config keys: types, limits, and how a bad one is reported; pure, no environment."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

PROJECT_NAMESPACE = "trainstack"
MAX_HOURS = 168
"""A run's credentials are made for the longest rental that the config allows."""

MAX_RUNS = 64

Hours = Annotated[int, Field(ge=1, le=MAX_HOURS, description=f"whole hours, 1 to {MAX_HOURS}")]
Gpus = Annotated[int, Field(ge=1, le=8, description="a whole number, 1 to 8")]
Dollars = Annotated[int, Field(ge=1, le=100_000, description="whole US dollars, 1 to 100000")]
BatchSize = Annotated[
    int, Field(ge=0, le=4096, description="a whole number, 0 (the recipe's) to 4096")
]
Times = Annotated[int, Field(ge=0, description="a whole number, 0 or more")]
GpuType = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}\Z",
        description="a model as the catalogue names it, such as H100 or CPU",
    ),
]
RecipeName = Annotated[str, Field(min_length=1, description="the name of a recipe")]
Country = Annotated[str, Field(pattern=r"^[A-Za-z]{2}\Z")]
Countries = Annotated[
    list[Country], Field(description="a list of two-letter country codes, such as [FI, US]")
]
FlatSettings = Annotated[
    dict[str, bool | int | float | str],
    Field(description="an object of numbers, texts and booleans, one level deep"),
]
BuildArgs = Annotated[
    dict[
        Literal["NANOCHAT_SOURCE", "TORCH_INDEX", "PIP_INDEX_URL"],
        Annotated[str, Field(pattern=r"^https?://[^\s@]+\Z")],
    ],
    Field(
        description="an object of NANOCHAT_SOURCE, TORCH_INDEX and PIP_INDEX_URL, each an address "
        "without a password in it"
    ),
]
WandbRun = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}\Z",
        description="letters, digits, blanks, . _ and -, at most 128",
    ),
]
Flag = Annotated[bool, Field(description="true or false")]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, regex_engine="python-re")


class RunValues(_Keys):
    """Keys that one run of a sweep may override, with their defaults."""

    recipe: RecipeName = "nanochat-d20"
    recipeSettings: FlatSettings = {}  # noqa: N815 - the names of the config keys
    gpuType: GpuType = "H100"  # noqa: N815
    gpusPerContainer: Gpus = 8  # noqa: N815
    locations: Countries = []
    durationHours: Hours = 5  # noqa: N815
    maxCostUsd: Dollars = 150  # noqa: N815
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
    maxCostUsd: Dollars | None = None  # noqa: N815
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
        Field(pattern=r"^[0-9a-f]{32}\Z", description="32 hex digits, from Cloudflare's dashboard"),
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
        str, Field(pattern=r"^([0-9a-f]{7,40})?\Z", description="7 to 40 hex digits, or nothing")
    ] = ""
    cudaBase: Annotated[  # noqa: N815
        str, Field(pattern=r"^\S{0,256}\Z", description="an image reference, or nothing")
    ] = ""
    buildArgs: BuildArgs = {}  # noqa: N815
    readyTimeoutMinutes: Annotated[  # noqa: N815
        int, Field(ge=1, le=180, description="whole minutes, 1 to 180")
    ] = 30
    stopGraceSeconds: Annotated[  # noqa: N815
        int, Field(ge=5, le=600, description="whole seconds, 5 to 600")
    ] = 5
    runs: Annotated[
        dict[RunName, RunKeys],
        Field(
            max_length=MAX_RUNS,
            description=f"at most {MAX_RUNS} runs, named with up to 32 lower-case letters, digits "
            "and hyphens",
        ),
    ] = {}
    ionetApiKey: str = ""  # noqa: N815
    registryUsername: str = ""  # noqa: N815
    registrySecret: str = ""  # noqa: N815
    wandbApiKey: str = ""  # noqa: N815


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


_STRUCTURED = frozenset({"buildArgs", "locations", "recipeSettings", "runs"})
"""Others are text to the letter: a registry's password may be a JSON document."""


def parse(
    raw: Mapping[str, str], *, secret: set[str], problems: list[str]
) -> tuple[StackKeys, frozenset[str]]:
    """Parse the project's keys; add a line for each bad one, and return the others with defaults.

    The names of the bad keys come with them: their values are stand-ins, not to be relied on.
    """
    given = {key: _decoded(value) if key in _STRUCTURED else value for key, value in raw.items()}
    try:
        return StackKeys.model_validate(given), frozenset()
    except pydantic.ValidationError as error:
        bad: set[str] = set()
        for detail in error.errors(include_url=False, include_context=False):
            place = [str(part) for part in detail["loc"]]
            bad.add(place[0])
            line = _problem(place, kind=detail["type"], value=detail["input"], secret=secret)
            if line not in problems:
                problems.append(line)
        good = {key: value for key, value in given.items() if key not in bad}
        return StackKeys.model_validate({**STAND_INS, **good}), frozenset(bad)


def _decoded(value: str) -> Any:
    # Objects and arrays of the stack file arrive as JSON text, everything else as it was written.
    if value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _problem(place: list[str], *, kind: str, value: Any, secret: set[str]) -> str:
    in_run = place[0] == "runs" and len(place) > 2 and place[2] != "[key]"
    model: type[BaseModel] = RunKeys if in_run else StackKeys
    key = place[2] if in_run else place[0]
    shown = f"{PROJECT_NAMESPACE}:" + (f"runs.{place[1]}.{key}" if in_run else key)
    if kind == "extra_forbidden":
        return f"{shown}: unknown key{_nearest(key, list(model.model_fields))}"
    allowed = model.model_fields[key].description or _inner_description(model, key)
    if kind == "missing":
        return f"{shown}: is not set; must be {allowed}"
    if place[0] == "runs" and len(place) > 1 and not in_run:
        shown += f".{place[1]}"
    if key in secret or place[0] in secret:
        return f"{shown}: the value (secret) is not allowed; must be {allowed}"
    # The engine hands numbers over as text: the quotes would be ours, not the user's.
    bare = isinstance(value, str) and value and not value.isspace()
    return f"{shown} = {value if bare else json.dumps(value, default=str)}: must be {allowed}"


def _inner_description(model: type[BaseModel], key: str) -> str:
    # In `Annotated[...] | None` the description stays with the inner type.
    text = json.dumps(model.model_json_schema()["properties"][key])
    found = re.search(r'"description": ("(?:[^"\\]|\\.)*")', text)
    return json.loads(found.group(1)) if found else "of another kind"


def _nearest(key: str, known: list[str]) -> str:
    match = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {match[0]}?" if match else f"; known are {', '.join(sorted(known))}"
