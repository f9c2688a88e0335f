"""What is said of each bad key: each rule has its own line, to the letter."""

# ruff: noqa: E501, ISC004  # an answer stands on one line with its question

from __future__ import annotations

import json
from typing import Any

import pytest

from components.config.refusals import foreign_keys, parse

GOOD = {
    "cloudflareAccountId": "0123456789abcdef0123456789abcdef",
    "bucket": "my-runs",
    "imageRepository": "somebody/trainstack",
}


def told(secret: frozenset[str] = frozenset(), **changes: Any) -> list[str]:
    problems: list[str] = []
    given = {**GOOD, **changes}
    raw = {k: v if isinstance(v, str) else json.dumps(v) for k, v in given.items()}
    parse(raw, secret=secret, problems=problems)
    return [one.removeprefix("trainstack:") for one in problems]


HOURS = "must be auto, or whole hours, 1 to 168"
DOLLARS = "must be US dollars, 0.01 to 100000, with at most two decimals"
COUNTRY = "must be one of the two-letter country codes"
RUNS = "must be an object of at most 64 runs by name, such as {short: {}, long: {durationHours: 8}}"
RUN = "must be an object of keys; {} takes all as the stack says"
RUN_NAME = (
    "a run's name must be 1 to 32 lower-case letters, digits and hyphens, no hyphen at the ends"
)
SETTING = "must be a number, a text, true or false: settings are one level deep"
IN_ADDRESS = (
    "has a user, a password or a token in it, which others could read; must be an address "
    "without one"
)

EXACT: list[tuple[str, Any, str]] = [
    ("durationHours", "2.5", f"durationHours = 2.5: {HOURS}"),
    ("durationHours", "1_0", f"durationHours = 1_0: {HOURS}"),
    ("durationHours", "0", f"durationHours = 0: {HOURS}"),
    ("durationHours", "169", f"durationHours = 169: {HOURS}"),
    ("durationHours", "true", f"durationHours = true: {HOURS}"),
    ("durationHours", "", f'durationHours = "": {HOURS}'),
    ("maxCostUsd", "0", f"maxCostUsd = 0: {DOLLARS}"),
    ("maxCostUsd", "0.005", f"maxCostUsd = 0.005: {DOLLARS}"),
    ("maxCostUsd", "NaN", f"maxCostUsd = NaN: {DOLLARS}"),
    ("maxCostUsd", "$5", f"maxCostUsd = $5: {DOLLARS}"),
    ("keepAlive", "yes", "keepAlive = yes: must be true or false"),
    ("keepAlive", "1", "keepAlive = 1: must be true or false"),
    ("locations", "US", "locations = US: must be a list of two-letter country codes, such as [FI, US]"),
    ("locations", ["UK"], f"locations[0] = UK: {COUNTRY}; did you mean GB (United Kingdom)?"),
    ("locations", ["FI", "Finland"], f"locations[1] = Finland: {COUNTRY}; did you mean FI (Finland)?"),
    ("locations", ["USA"], f"locations[0] = USA: {COUNTRY}; did you mean US (United States)?"),
    ("locations", [False], f"locations[0] = false: {COUNTRY}; put it in quotes"),
    ("locations", [None], f"locations[0] = null: {COUNTRY}"),
    ("runs", [], f"runs = []: {RUNS}"),
    ("runs", "three", f"runs = three: {RUNS}"),
    ("runs", "{", f"runs = {{: {RUNS}"),
    ("runs", {f"r{n}": {} for n in range(65)}, "runs: holds 65 runs; must be at most 64 runs"),
    ("runs", {"a": None}, f"runs.a = null: {RUN}"),
    ("runs", {"a": []}, f"runs.a = []: {RUN}"),
    ("runs", {"A b": {}}, f"runs.A b: {RUN_NAME}"),
    ("runs", {"a\n": {}}, f"runs.a\\n: {RUN_NAME}"),
    ("runs", {"a": {"durationHours": 2.5}}, f"runs.a.durationHours = 2.5: {HOURS}"),
    ("runs", {"a": {"durationHours": True}}, f"runs.a.durationHours = true: {HOURS}"),
    ("runs", {"a": {"keepAlive": 1}}, "runs.a.keepAlive = 1: must be true or false"),
    (
        "runs",
        {"a": {"gpuType": 4090}},
        "runs.a.gpuType = 4090: must be a model as the catalogue names it, such as H100 or CPU, "
        "or a list of at most 8 of them; "
        "put it in quotes",
    ),
    ("runs", {"a": {"locations": ["EL"]}}, f"runs.a.locations[0] = EL: {COUNTRY}; did you mean GR (Greece)?"),
    ("runs", {"a": {"recipeSettings": {"depth": []}}}, f"runs.a.recipeSettings.depth = []: {SETTING}"),
    ("runs", {"a": {"locatons": []}}, "runs.a.locatons: unknown key; did you mean locations?"),
    (
        "runs",
        {"a": {"bucket": "b"}},
        "runs.a.bucket: is no key of one run, all runs share it; set trainstack:bucket",
    ),
    ("recipeSettings", [], "recipeSettings = []: must be an object of the recipe's settings, such as {depth: 20}"),
    ("recipeSettings", {"depth": None}, f"recipeSettings.depth = null: {SETTING}"),
    ("recipe", "", 'recipe = "": must be the name of a recipe'),
    ("buildArgs", ["x"], "buildArgs = [\"x\"]: must be an object of NANOCHAT_SOURCE, TORCH_INDEX, PIP_INDEX_URL and FA3_SOURCE, each an address"),
    ("buildArgs", {"PIP_INDEX": "https://x"}, "buildArgs.PIP_INDEX: unknown build argument; did you mean PIP_INDEX_URL?"),
    ("buildArgs", {"PIP_INDEX_URL": "host"}, "buildArgs.PIP_INDEX_URL = host: must be an address that begins with https:// or http://"),
    ("buildArgs", {"PIP_INDEX_URL": "https://me:planted@host/simple"}, f"buildArgs.PIP_INDEX_URL: {IN_ADDRESS}"),
    ("buildArgs", {"TORCH_INDEX": "https://host/?token=planted"}, f"buildArgs.TORCH_INDEX: {IN_ADDRESS}"),
    ("buildArgs", {"NANOCHAT_SOURCE": "https://planted@host/a b"}, f"buildArgs.NANOCHAT_SOURCE: {IN_ADDRESS}"),
    ("cudaBase", "me:planted@host.example/image", f"cudaBase: {IN_ADDRESS}"),
    ("cloud", "ionet", 'cloud = ionet: must be "io.net" or "local"; did you mean io.net?'),
    ("cloud", "aws", 'cloud = aws: must be "io.net" or "local"'),
    ("jurisdiction", "EU", "jurisdiction = EU: must be default, eu, fedramp or us; did you mean eu?"),
    ("gpu_type", "H100", "gpu_type: unknown key; did you mean gpuType?"),
    ("maxCost", "5", "maxCost: unknown key; did you mean maxCostUsd?"),
    ("zzz", "5", "zzz: unknown key; the nearest known is deviceBatchSize"),
    (
        "runs.a.durationHours",
        "5",
        "runs.a.durationHours: unknown key; `pulumi config rm trainstack:runs.a.durationHours` "
        "removes it, and what lies within runs is set with `pulumi config set --path`",
    ),
    ("bucket", "", "bucket: is not set; must be 3 to 63 lower-case letters, digits and hyphens, no hyphen at the ends"),
    ("bucket", "my\u2011runs", "bucket = my\u2011runs: must be 3 to 63 lower-case letters, digits and hyphens, no hyphen at the ends; character 3 is U+2011"),
    ("nanochatCommit", "42798", "nanochatCommit = 42798: must be 7 to 40 hex digits in quotes, or nothing"),
    ("rerun", "-1", "rerun = -1: must be a whole number, 0 or more (at most a billion)"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "line"), EXACT)
def test_each_rule_has_its_own_answer(key: str, value: Any, line: str) -> None:
    assert told(**{key: value}) == [line]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("maxCostUsd", "0.50"),
        ("maxCostUsd", "150"),
        ("maxCostUsd", "150.0"),
        ("keepAlive", "True"),
        ("keepAlive", "false"),
        ("locations", ["NO", "no", " FI"]),
        ("runs", {"a": {"keepAlive": True, "maxCostUsd": 0.5, "durationHours": None}}),
        ("cudaBase", "registry:5000/cuda:12@sha256:0123"),
        ("nanochatCommit", "0123456"),
    ],
)
def test_what_yaml_and_the_command_line_write_is_taken(key: str, value: Any) -> None:
    assert told(**{key: value}) == []


def test_a_long_value_is_cut() -> None:
    (line,) = told(bucket="x" * 5000)
    assert len(line) < 400


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"runs": {"planted": {"gpuType": "?planted"}}}, "runs.*.gpuType: the value (secret)"),
        ({"runs": {"planted planted": {}}}, "runs.*: a run's name must be"),
        ({"runs": {"a": {"planted": 1}}}, "runs.*.*: unknown key"),
        ({"recipeSettings": {"planted": []}}, "recipeSettings.*: the value (secret)"),
        ({"buildArgs": {"planted": "https://x"}}, "buildArgs.*: unknown build argument"),
    ],
)
def test_of_an_encrypted_object_nothing_is_shown(changes: dict[str, Any], line: str) -> None:
    (said,) = told(frozenset(changes), **changes)
    assert said.startswith(line)
    assert "planted" not in said


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("trainstak:bucket", "unknown namespace; did you mean trainstack:bucket?"),
        ("other:bucket", "unknown namespace; did you mean trainstack:bucket?"),
        ("bucket", "has no namespace; did you mean trainstack:bucket?"),
        ("bukket", "has no namespace; did you mean trainstack:bucket?"),
        ("cloudflare:apiTokn", "unknown key; did you mean apiToken?"),
        ("cloudflar:apiToken", "unknown namespace; did you mean cloudflare?; `pulumi config rm cloudflar:apiToken` removes it"),
        ("aws:region", "unknown namespace; the nearest known is trainstack; `pulumi config rm aws:region` removes it"),
    ],
)  # fmt: skip
def test_a_key_of_another_namespace_is_named(key: str, line: str) -> None:
    assert foreign_keys({key: "planted"}) == [f"{key}: {line}"]


def test_the_namespaces_of_the_providers_are_known() -> None:
    keys = ("cloudflare:apiToken", "docker:host", "pulumi:tags", "command:x", "trainstack:bucket")
    assert foreign_keys(dict.fromkeys(keys, "")) == []
