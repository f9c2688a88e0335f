"""The container's variables: written and read by one table, whatever stands in them."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from container.contract.environment import (
    VARIABLES,
    BadEnvironmentError,
    RunEnvironment,
    differing,
    meaning,
    stage_environment,
    written,
)

words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)
environments = st.builds(
    RunEnvironment,
    run=words,
    prefix=words,
    recipe=words,
    settings=st.dictionaries(words, st.integers() | st.booleans() | words),
    endpoint=words.map("https://{}".format),
    bucket=words,
    access_key_id=words,
    secret_access_key=words,
    access_token=words | st.just(""),
    wandb_api_key=words | st.just(""),
    wandb_run=words,
    keep_alive=st.booleans(),
    image_digest=words,
    gpu_type=words,
    gpus_per_container=st.integers(1, 8),
    duration_hours=st.integers(0, 168),
    price_usd_per_hour=st.decimals(0, 1000, places=4),
    device_batch_size=st.integers(0, 64),
    mirror_url=words.map("http://{}".format) | st.just(""),
    traffic_port=st.integers(1, 65535),
    stop_grace_s=st.integers(5, 600).map(float),
)


def secrets_of(wanted: RunEnvironment) -> dict[str, str]:
    return written(**{v.field: getattr(wanted, v.field) for v in VARIABLES if v.by == "secret"})


@given(environments)
def test_what_is_written_is_read_back_equal(wanted: RunEnvironment) -> None:
    by_the_rental = written(
        image_digest=wanted.image_digest,
        duration_hours=wanted.duration_hours,
        price_usd_per_hour=wanted.price_usd_per_hour,
    )
    env = {**wanted.to_env(), **secrets_of(wanted), **by_the_rental}
    assert RunEnvironment.from_env(env) == wanted


def test_every_field_is_one_variable() -> None:
    fields = [one.name for one in dataclasses.fields(RunEnvironment)]
    assert sorted(variable.field for variable in VARIABLES) == sorted(fields)
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)


def test_no_secret_is_among_the_plain_variables() -> None:
    wanted = RunEnvironment(
        run="main",
        prefix="p",
        recipe="r",
        settings={},
        endpoint="https://x",
        bucket="b",
        access_key_id="planted-id",
        secret_access_key="planted-secret",
        access_token="planted-token",
        wandb_api_key="planted-wandb",
    )
    assert "planted" not in str(wanted.to_env())
    assert "planted" not in repr(wanted)
    assert set(secrets_of(wanted).values()) == {
        "planted-id",
        "planted-secret",
        "planted-token",
        "planted-wandb",
    }


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(BadEnvironmentError) as failed:
        RunEnvironment.from_env(
            {"RECIPE": "r", "KEEP_ALIVE": "Perhaps", "TRAFFIC_PORT": "-1", "RECIPE_SETTINGS": "[]"}
        )
    assert str(failed.value) == (
        "the container's environment is not usable: RECIPE_SETTINGS is not a JSON object; "
        "R2_ENDPOINT_URL is not set; R2_BUCKET_NAME is not set; R2_ACCESS_KEY_ID is not set; "
        "R2_SECRET_ACCESS_KEY is not set; KEEP_ALIVE='perhaps' is neither true nor false; "
        "TRAFFIC_PORT='-1' is not a whole number"
    )


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ({}, {}, ()),
        ({}, {"WANDB_RUN": "dummy", "KEEP_ALIVE": "false"}, ()),
        ({"R2_ENDPOINT": "a"}, {"R2_ENDPOINT": "b"}, ("R2_ENDPOINT",)),
        ({"PRICE_USD_PER_HOUR": "1"}, {"PRICE_USD_PER_HOUR": "2"}, ()),
        ({"KEEP_ALIVE": "nonsense"}, {}, ("KEEP_ALIVE",)),
    ],
)
def test_layout_is_not_meaning(
    old: dict[str, str], new: dict[str, str], names: tuple[str, ...]
) -> None:
    assert differing(old, new) == names


def test_the_meaning_of_amounts_and_texts_is_plain_json() -> None:
    kinds = {type(value) for value in meaning({}).values()}
    assert kinds <= {str, int, bool, dict, type(None)}
    assert Decimal not in kinds


GOOD = {
    "RUN_PREFIX": "p",
    "RECIPE": "rehearsal",
    "R2_ENDPOINT": "https://host",
    "R2_BUCKET": "b",
    "R2_ACCESS_KEY_ID": "a",
    "R2_SECRET_ACCESS_KEY": "s",
}


def test_white_space_around_a_variable_is_dropped() -> None:
    """A line end after its key ends W&B with a UsageError, and with it the stage."""
    pasted = {name: f" {value}\n" for name, value in {**GOOD, "WANDB_API_KEY": "k"}.items()}
    assert RunEnvironment.from_env(pasted) == RunEnvironment.from_env(
        {**GOOD, "WANDB_API_KEY": "k"}
    )


def test_a_key_that_no_header_can_carry_is_named_and_not_shown() -> None:
    with pytest.raises(BadEnvironmentError) as failed:
        RunEnvironment.from_env({**GOOD, "WANDB_API_KEY": "planted\nplanted", "R2_BUCKET": ""})
    assert "WANDB_API_KEY: character 8 is U+000A" in str(failed.value)
    assert "R2_BUCKET_NAME is not set" in str(failed.value)
    assert "planted" not in str(failed.value)


GUIDES_SEVEN = {
    "R2_ENDPOINT_URL": "https://host",
    "R2_BUCKET_NAME": "b",
    "R2_ACCESS_KEY_ID": "a",
    "R2_SECRET_ACCESS_KEY": "s",
    "WANDB_API_KEY": "w",
    "WANDB_RUN": "first",
    "KEEP_ALIVE": "true",
}


def test_the_guides_seven_variables_are_enough() -> None:
    read = RunEnvironment.from_env(GUIDES_SEVEN)
    assert read == RunEnvironment(
        run="main",
        settings={},
        endpoint="https://host",
        bucket="b",
        access_key_id="a",
        secret_access_key="s",
        wandb_api_key="w",
        wandb_run="first",
        keep_alive=True,
    )
    assert read.recipe == "nanochat-speedrun", "the guide's run"
    assert not read.prefix, "which the container claims for itself"


TWO_NAMES = [(one.name, one.guides) for one in VARIABLES if one.guides]


@pytest.mark.parametrize(("ours", "guides"), TWO_NAMES)
def test_a_variable_of_two_names_is_read_by_either(ours: str, guides: str) -> None:
    """Images of earlier releases know the one, people who read the guide the other."""
    by_ours = RunEnvironment.from_env(GOOD)
    env = {name: value for name, value in GOOD.items() if name != ours} | {guides: GOOD[ours]}
    assert RunEnvironment.from_env(env) == by_ours
    assert RunEnvironment.from_env({**GOOD, guides: f" {GOOD[ours]}\n"}) == by_ours
    assert RunEnvironment.from_env({**env, ours: ""}) == by_ours
    assert differing(GOOD, env) == ()
    assert meaning(GOOD) == meaning(env), "a machine is found again whichever it was rented with"


@pytest.mark.parametrize(("ours", "guides"), TWO_NAMES)
def test_two_names_of_one_variable_that_differ_are_refused_by_both(ours: str, guides: str) -> None:
    with pytest.raises(BadEnvironmentError) as failed:
        RunEnvironment.from_env({**GOOD, guides: "https://other"})
    assert f"{guides} and {ours} are two names of one variable" in str(failed.value)


def test_the_program_writes_the_names_that_older_images_read() -> None:
    """A container of an earlier release under this program, and its machine in a state, depend."""
    assert set(GOOD) - {one.name for one in VARIABLES if one.by == "secret"} <= set(
        RunEnvironment.from_env(GOOD).to_env()
    )


def test_a_stage_sees_no_address_of_the_bucket_under_any_name() -> None:
    seen = stage_environment({**GUIDES_SEVEN, **GOOD, "HOME": "/root"}, credentials=False)
    assert set(seen) == {"HOME", "RECIPE", "WANDB_RUN", "KEEP_ALIVE"}
