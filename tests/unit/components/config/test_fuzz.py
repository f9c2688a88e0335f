"""Whatever stands in a stack's config: settings or a SettingsError, which names the bad key.

A fixed seed and a bounded number of examples: the same ones in every run.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.config.keys import RunKeys, StackKeys
from components.config.settings import SettingsError, load_settings
from components.config.yaml_traps import traps
from tests.unit.components.config.test_settings import DEV, LOCAL_ENV

PLANTED = "planted-secret"
GOOD = {f"trainstack:{k}": v if isinstance(v, str) else json.dumps(v) for k, v in DEV.items()}
bounded = settings(
    derandomize=True,
    max_examples=150,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

KEYS = sorted(StackKeys.model_fields)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
TRAPS = [
    "0123456",
    "08",
    "1e3",
    "0x1f",
    "1_000",
    "12:30:45",
    "NO",
    "yes",
    "~",
    "2026-01-01",
]
members = st.sampled_from([*KEYS, "a", "A b", "depth", "PIP_INDEX_URL", "", "\n", "\ud800"])
things = st.recursive(
    scalars | st.sampled_from(TRAPS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3),
    max_leaves=6,
)
run_objects = st.dictionaries(
    st.sampled_from(["a", "A b", "x" * 40]),
    st.dictionaries(st.sampled_from(sorted(RunKeys.model_fields)), things, max_size=3),
    max_size=3,
)
values = st.one_of(
    st.text(),
    st.sampled_from(TRAPS),
    things.map(json.dumps),
    run_objects.map(json.dumps),
    st.sampled_from(["[" * 3000, "{", "[1", "9" * 5000, '"\ud800"', "\u200b", "https://a:b@c"]),
)
keys = st.sampled_from(KEYS).map("trainstack:{}".format) | st.sampled_from(
    [
        "trainstak:bucket",
        "bucket",
        "cloudflare:apiTokn",
        "aws:region",
        ":",
        "trainstack:",
        "a:b:c",
    ]
)


def told(config: dict[str, str], *, secret: frozenset[str] = frozenset(), file: str = "") -> str:
    """Return what is said of a config, "" when it is taken."""
    try:
        load_settings(
            config,
            secret_keys=secret,
            env=LOCAL_ENV,
            project="trainstack",
            stack="dev",
            stack_file=file,
        )
    except SettingsError as error:
        return str(error)
    return ""


@bounded
@given(st.sampled_from(KEYS), values)
@example("runs", "[" * 100_000)
def test_a_bad_value_always_names_its_key_and_nothing_else_is_raised(key: str, value: str) -> None:
    text = told({**GOOD, f"trainstack:{key}": value})
    assert not text or f"trainstack:{key}" in text
    assert text == text.encode().decode()  # the engine takes no half of a character
    assert len(text) < 20_000


@bounded
@given(st.dictionaries(keys, values, max_size=6))
def test_any_config_is_taken_or_told_with_the_names_of_its_keys(config: dict[str, str]) -> None:
    text = told({**GOOD, **config})
    for line in text.splitlines()[1:]:
        names = (*(f"trainstack:{key}" for key in KEYS), *config, *LOCAL_ENV)
        assert any(line.strip().startswith(name) for name in names if name), line


@bounded
@given(st.sampled_from(KEYS), things)
def test_a_planted_secret_is_never_shown(key: str, thing: Any) -> None:
    for value in (PLANTED, json.dumps([PLANTED]), json.dumps({PLANTED: thing, "a": PLANTED})):
        within = {"a": {"gpuType": PLANTED, "recipeSettings": {"depth": PLANTED}, PLANTED: 1}}
        for given_value in (value, json.dumps(within), f"{value}\u2019", f"{value}\n{value}"):
            name = f"trainstack:{key}"
            text = told({**GOOD, name: given_value}, secret=frozenset({name}))
            assert PLANTED not in text


@bounded
@given(st.sampled_from(["recipeSettings", "buildArgs", "runs", "bucket", "cudaBase"]), st.text())
def test_a_password_in_an_address_is_never_shown(key: str, around: str) -> None:
    around = "".join(around.split())
    address = f"https://me:{PLANTED}@host/{around}"
    for value in (address, {"PIP_INDEX_URL": address}, {"depth": address}, [address]):
        runs = {"a": {"gpuType": address, "recipeSettings": {"depth": address}}}
        for thing in (value, runs):
            written = thing if isinstance(thing, str) else json.dumps(thing, ensure_ascii=False)
            assert PLANTED not in told({**GOOD, f"trainstack:{key}": written})


@bounded
@given(st.sampled_from(KEYS), st.sampled_from(TRAPS) | st.text(), values)
def test_any_stack_file_is_read_without_an_error(key: str, written: str, became: str) -> None:
    for file in (written, f"config:\n  trainstack:{key}: {written}\n", f"config: {written}"):
        traps(file, given={key: became})
        told({**GOOD, f"trainstack:{key}": became}, file=file)


@bounded
@given(st.sampled_from(["nanochatCommit", "gpuType", "wandbRun", "bucket"]), st.integers(0, 10**7))
def test_a_text_that_yaml_read_as_another_number_is_told_to_be_quoted(
    key: str, number: int
) -> None:
    for written in (f"0{number:o}", f"0x{number:x}", f"{number}e2", f"{number}.0"):
        became = str(number * 100 if written.endswith("e2") and "x" not in written else number)
        if written == became:
            continue
        file = f"config:\n  trainstack:{key}: {written}\n"
        text = told({**GOOD, f"trainstack:{key}": became}, file=file)
        assert f"trainstack:{key} = {became}: Pulumi.dev.yaml says {written} (line 2)" in text
        assert "put it in quotes" in text
