"""Stack config to Settings: what is taken, and how everything that is wrong is told at once."""

from __future__ import annotations

import dataclasses
import json
import re
from decimal import Decimal
from typing import Any

import pytest
import yaml

from components.config.keys import StackKeys
from components.config.settings import SECRET_KEYS, Settings, SettingsError, load_settings
from container.contract.recipe import Setting
from container.recipes import rehearsal
from tests import ROOT

LOCAL_ENV = {
    "TRAINSTACK_LOCAL_CLOUD": "/somewhere/.local",
    "IONET_BASE_URL": "http://127.0.0.1:1",
    "CLOUDFLARE_BASE_URL": "http://127.0.0.1:2/client/v4",
    "R2_ENDPOINT_URL": "http://10.0.0.1:3",
    "IOCLOUD_API_KEY": "key",
    "CLOUDFLARE_API_TOKEN": "token",
    "REGISTRY_SERVER": "127.0.0.1:5000",
    "REGISTRY_USERNAME": "pusher",
    "REGISTRY_SECRET": "planted-registry",
    "TRAINSTACK_BASE_IMAGE": "base:1",
}
MODEL = StackKeys.model_fields["gpuType"].description
PAID_ENV = {"IOCLOUD_API_KEY": "key", "CLOUDFLARE_API_TOKEN": "token"}
DEV: dict[str, Any] = {
    "cloud": "local",
    "cloudflareAccountId": "0123456789abcdef0123456789abcdef",
    "bucket": "trainstack-rehearsal",
    "imageRepository": "trainstack/rehearsal",
    "recipe": "rehearsal",
    "gpuType": "CPU",
    "gpusPerContainer": 1,
    "durationHours": 1,
}


def load(
    env: dict[str, str] | None = None,
    secret: tuple[str, ...] = (),
    stack_file: str = "",
    **changes: Any,
) -> Settings:
    values = {key: value for key, value in {**DEV, **changes}.items() if value is not None}
    return load_settings(
        {
            key if ":" in key else f"trainstack:{key}": value
            if isinstance(value, str)
            else json.dumps(value)
            for key, value in values.items()
        },
        secret_keys=frozenset(key if ":" in key else f"trainstack:{key}" for key in secret),
        env=LOCAL_ENV if env is None else env,
        project="trainstack",
        stack="dev",
        stack_file=stack_file,
    )


def problems(env: dict[str, str] | None = None, **changes: Any) -> str:
    with pytest.raises(SettingsError) as failed:
        load(env, **changes)
    return str(failed.value)


def test_the_dev_stack_is_one_rehearsal_called_main() -> None:
    settings = load()
    (run,) = settings.runs
    assert (run.name, run.recipe, run.gpu_type, run.duration_hours) == (
        "main",
        "rehearsal",
        "CPU",
        1,
    )
    assert settings.r2_endpoint == "http://10.0.0.1:3"
    assert settings.image.server == "127.0.0.1:5000"
    assert settings.image.target == "rehearsal"
    assert settings.image.build_args == {"BASE_IMAGE": "base:1"}


def test_the_committed_dev_stack_is_valid() -> None:
    config = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]
    assert load(**{key.removeprefix("trainstack:"): value for key, value in config.items()})


@pytest.mark.parametrize("stack", ["speedrun", "first"])
def test_the_paid_stacks_to_copy_are_valid_once_they_are_edited(stack: str) -> None:
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    values = {key.removeprefix("trainstack:"): value for key, value in config.items()}
    assert "cloudflareAccountId = your-account-id" in problems(PAID_ENV, **values)
    settings = load(PAID_ENV, **{**values, "cloudflareAccountId": "a" * 32})
    assert settings.image.target == "nanochat"
    assert settings.image.server == "docker.io"


def test_pulumi_yaml_declares_the_keys_that_settings_knows_with_the_same_defaults() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    optional = set(SECRET_KEYS)  # secrets cannot be declared
    assert {key.removeprefix("trainstack:") for key in declared} == (
        set(StackKeys.model_fields) - optional
    )
    for name, field in StackKeys.model_fields.items():
        if name in optional:
            continue
        entry = declared[f"trainstack:{name}"]
        assert entry["description"], name
        assert "type" not in entry, f"{name}: the engine would refuse it alone, in words of its own"
        assert entry["default"] == ("" if field.is_required() else field.default), name


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = problems(
        env={},
        durationHours=0,
        gpuTyp="H100",
        bucket="Bad_Bucket",
        cloudflareAccountId=None,
        runs={"Bad Name": {}, "ok": {"maxCostUsd": 0, "locatons": []}},
    )
    for part in (
        "trainstack:durationHours = 0: must be auto, or whole hours, 1 to 168",
        "trainstack:gpuTyp: unknown key; did you mean gpuType?",
        "trainstack:bucket = Bad_Bucket: must be 3 to 63 lower-case letters",
        "trainstack:cloudflareAccountId: is not set; must be 32 hex digits",
        "trainstack:runs.Bad Name",
        "trainstack:runs.ok.maxCostUsd = 0: must be US dollars, 0.01 to 100000",
        "trainstack:runs.ok.locatons: unknown key; did you mean locations?",
        "source .local/env",
    ):
        assert part in text
    assert "Traceback" not in text
    assert "pydantic" not in text


def test_a_bad_key_does_not_hide_keys_that_do_not_fit_each_other() -> None:
    text = problems(
        PAID_ENV,
        cloud="io.net",
        bucket="NO",
        recipe="nanochat-d20",
        gpuType="H100",
        gpusPerContainer=8,
        durationHours=1,
        wandbRun="mine",
    )
    for part in ("bucket = NO", "durationHours = 1: nanochat-d20 takes", "wandbRun = mine"):
        assert f"trainstack:{part}" in text


def test_of_keys_that_must_fit_each_other_only_a_bad_one_is_told() -> None:
    text = problems(PAID_ENV, cloud="io.net", recipe="nanochat-d20", gpuType="?", durationHours=1)
    assert "gpuType = ?" in text
    assert "takes about" not in text


def test_a_bad_key_does_not_hide_a_bad_recipe() -> None:
    text = problems(durationHours=0, imageRepository=None, recipe="nanochat-d99")
    assert "trainstack:durationHours = 0" in text
    assert "trainstack:imageRepository: is not set" in text
    assert "trainstack:recipe: " in text
    assert "nanochat-d20" in text


def test_a_bad_key_does_not_hide_a_bad_recipe_setting() -> None:
    text = problems(bucket="NO", recipeSettings={"dpeth": 2})
    assert "trainstack:bucket = NO" in text
    assert "trainstack:recipeSettings: " in text
    assert "dpeth" in text


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("cloud", "aws", '"io.net" or "local"'),
        ("jurisdiction", "mars", "default, eu, fedramp or us"),
        ("durationHours", 4.5, "whole hours"),
        ("durationHours", 169, "1 to 168"),
        ("gpusPerContainer", 9, "1 to 8"),
        ("locations", ["Finland"], "two-letter country codes"),
        ("recipe", "nanochat-d99", "known are"),
        ("recipeSettings", {"depht": 3}, "unknown setting"),
        ("recipeSettings", {"depth": {"a": 1}}, "one level deep"),
        ("keepAlive", "perhaps", "true or false"),
        ("nanochatCommit", "main", "hex digits"),
        ("imageRepository", "Some/Body:1", "a repository without server and tag"),
        ("runs", "three", "an object"),
        ("runs", {f"r{number}": {} for number in range(65)}, "at most 64 runs"),
        ("readyTimeoutMinutes", 0, "1 to 180"),
        ("rerun", -1, "0 or more"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(key: str, value: Any, allowed: str) -> None:
    text = problems(**{key: value})
    assert f"trainstack:{key}" in text
    assert allowed in text


def test_the_first_bad_key_does_not_hide_the_others_nor_a_missing_one() -> None:
    """The engine's own check tells one, without its value."""
    text = problems(
        durationHours="2.5",
        maxCostUsd="0.001",
        keepAlive="yes",
        locations="US",
        runs="[]",
        bucket="",
        imageRepository=None,
    )
    assert len(text.splitlines()) == 1 + 7


def test_what_yaml_changed_is_told_with_the_remedy() -> None:
    """https://github.com/pulumi/pulumi/issues/11518"""
    file = "config:\n  trainstack:nanochatCommit: 0123456\n  trainstack:durationHours: 010\n"
    text = problems(stack_file=file, nanochatCommit="42798", durationHours="8", gpuType="?")
    told = "which YAML reads as another value; put it in quotes"
    assert text.splitlines()[1:] == [
        f"  trainstack:nanochatCommit = 42798: Pulumi.dev.yaml says 0123456 (line 2), {told}",
        f"  trainstack:durationHours = 8: Pulumi.dev.yaml says 010 (line 3), {told}",
        f"  trainstack:gpuType = ?: must be {MODEL}",
    ]
    file = "config:\n  trainstack:registrySecret: 0123456\n"
    assert "0123456" not in problems(stack_file=file, registrySecret="42798")


def test_a_cap_may_have_cents() -> None:
    assert load(maxCostUsd="0.50").runs[0].max_cost_usd == Decimal("0.5")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": "nanochat-d21"}, "; did you mean nanochat-d20?"),
        ({"recipe": "d26"}, "; did you mean nanochat-d26?"),
        ({"recipeSettings": {"dpeth": 2}}, "dpeth: unknown setting; did you mean depth?"),
        ({"recipeSettings": {"depth": "2"}}, "depth: '2' must be a whole number"),
        ({"trainstak:bucket": "b"}, "trainstak:bucket: unknown namespace; did you mean trainstack"),
    ],
)
def test_an_unknown_thing_is_named_with_the_nearest_known_one(
    changes: dict[str, Any], said: str
) -> None:
    assert said in problems(**changes)


@pytest.mark.parametrize(
    ("server", "repository", "taken"),
    [
        ("docker.io", "ghcr.io/me/x", ""),
        ("ghcr.io", "docker.io/me/x", ""),
        ("ghcr.io", "localhost/x", ""),
        ("ghcr.io", "ghcr.io/me/x", "me/x"),
        ("docker.io", "index.docker.io/me/x", "me/x"),
        ("docker.io", "me/x", "me/x"),
        ("docker.io", "me.too/x.y", ""),
    ],
)
def test_a_registry_within_the_repository_must_not_contradict(
    server: str, repository: str, taken: str
) -> None:
    changes: dict[str, Any] = {
        "cloud": "io.net",
        "registryServer": server,
        "imageRepository": repository,
    }
    if taken:
        assert load(PAID_ENV, **changes).image.repository == taken
    else:
        own = repository.split("/")[0]
        said = f"names the registry {own}, but trainstack:registryServer is {server}; must be "
        assert said in problems(PAID_ENV, **changes)


def test_white_space_around_a_pasted_value_is_dropped_and_changes_no_training() -> None:
    """A token with a blank at its end passes Cloudflare's API and fails S3's signature."""
    env = {name: f"{value}\u00a0\n" for name, value in PAID_ENV.items()}
    secret = ("wandbApiKey", "registrySecret")
    given: dict[str, Any] = {
        "cloud": "io.net",
        "wandbApiKey": "k\n",
        "registrySecret": "\ufeffs ",
        "rerun": " 1 ",
    }
    settings = load(env, secret=secret, **given, registryUsername="u\n", bucket="my-runs\n")
    assert settings.cloudflare_api_token == "token"
    assert settings.wandb_api_key == "k"
    assert (settings.image.username, settings.image.secret) == ("u", "s")
    assert (settings.bucket, settings.runs[0].rerun) == ("my-runs", 1)
    assert settings.runs[0].training_hash == load(PAID_ENV, cloud="io.net").runs[0].training_hash


@pytest.mark.parametrize(
    "key", ["ionetApiKey", "wandbApiKey", "registrySecret", "registryUsername"]
)
def test_a_key_that_no_header_can_carry_is_named_and_not_shown(key: str) -> None:
    given: dict[str, Any] = {key: "planted\u2019planted"}
    with pytest.raises(SettingsError) as failed:
        load(secret=(key,), **given)
    text = str(failed.value)
    assert f"trainstack:{key}: character 8 is U+2019, not printable ASCII; copy the key" in text
    assert "planted" not in text


def test_a_password_in_a_recipes_setting_is_refused_as_all_records_show_it() -> None:
    text = problems(recipeSettings={"depth": "https://me:planted@host"})
    assert "planted" not in text


def test_a_secret_is_never_shown() -> None:
    text = problems(registrySecret={"planted": 1}, durationHours=0)
    assert "planted" not in text


def test_a_key_that_was_stored_as_a_secret_is_not_shown_either() -> None:
    with pytest.raises(SettingsError) as failed:
        load(secret=("bucket",), bucket="Planted_Value")
    assert "Planted_Value" not in str(failed.value)


def test_a_secret_in_plain_text_is_refused() -> None:
    assert "pulumi config set --secret trainstack:wandbApiKey" in problems(wandbApiKey="planted")
    assert load(secret=("wandbApiKey",), wandbApiKey="planted").wandb_api_key == "planted"


def test_a_cloudflare_token_in_plain_text_is_refused() -> None:
    plain: dict[str, Any] = {"cloudflare:apiToken": "planted"}
    text = problems(**plain)
    assert "pulumi config set --secret cloudflare:apiToken" in text
    assert "planted" not in text


def test_a_bad_value_within_an_encrypted_object_is_not_shown() -> None:
    with pytest.raises(SettingsError) as failed:
        load(secret=("runs",), runs={"one": {"gpuType": "?planted"}})
    assert "planted" not in str(failed.value)


def test_a_registrys_password_may_be_a_json_document() -> None:
    """Google's registry takes a whole key file as the password."""
    password = '{"type": "service_account"}'
    assert load(secret=("registrySecret",), registrySecret=password).image.secret == password


def test_cpu_is_cpu_in_any_letter_case() -> None:
    """The container took `cpu` for a GPU that was not there, after it was paid for."""
    assert load(gpuType="cpu").runs[0].gpu_type == "CPU"


def test_settings_do_not_show_their_secrets() -> None:
    shown = repr(load(secret=("wandbApiKey",), wandbApiKey="planted-wandb"))
    assert "planted" not in shown
    assert "token" not in shown.replace("cloudflare_api_token", "")


def test_the_local_stack_refuses_to_run_outside_the_local_world() -> None:
    text = problems(env=PAID_ENV)
    assert "TRAINSTACK_LOCAL_CLOUD" in text
    assert "source .local/env" in text


@pytest.mark.parametrize(
    "name", ["TRAINSTACK_LOCAL_CLOUD", "IONET_BASE_URL", "CLOUDFLARE_BASE_URL", "R2_ENDPOINT_URL"]
)
def test_a_paid_stack_refuses_to_run_inside_the_local_world(name: str) -> None:
    text = problems(env={**PAID_ENV, name: "x"}, cloud="io.net")
    assert f"{name} must not be set for a paid run" in text
    assert "trainstack_leave" in text


OWN_R2 = f"https://{DEV['cloudflareAccountId']}.r2.cloudflarestorage.com"


@pytest.mark.parametrize(
    "address", [OWN_R2, f"{OWN_R2}/", OWN_R2.upper().replace("HTTPS", "https")]
)
def test_the_guides_variables_in_the_shell_are_no_local_world(address: str) -> None:
    """`trainstack_leave`, which was told, is no command there; and the machine stays the same."""
    guides = {
        "R2_ENDPOINT_URL": address,
        "R2_BUCKET_NAME": "b",
        "R2_ACCESS_KEY_ID": "a",
        "R2_SECRET_ACCESS_KEY": "s",
        "WANDB_API_KEY": "w",
        "WANDB_RUN": "r",
        "KEEP_ALIVE": "true",
    }
    plain = load(env=PAID_ENV, cloud="io.net")
    assert load(env={**PAID_ENV, **guides}, cloud="io.net") == plain
    assert plain.r2_endpoint == OWN_R2


@pytest.mark.parametrize(
    ("address", "jurisdiction"),
    [
        (f"https://{'f' * 32}.r2.cloudflarestorage.com", "default"),
        (OWN_R2, "eu"),
        (f"{OWN_R2}/a-bucket", "default"),
    ],
)
def test_an_address_of_r2_that_is_not_the_stacks_is_refused_with_the_one_that_is(
    address: str, jurisdiction: str
) -> None:
    env = {**PAID_ENV, "R2_ENDPOINT_URL": address}
    text = problems(env=env, cloud="io.net", jurisdiction=jurisdiction)
    (wanted,) = re.findall(r"must be (https://\S+),", text)
    assert load(env={**env, "R2_ENDPOINT_URL": wanted}, cloud="io.net", jurisdiction=jurisdiction)
    assert load(env=PAID_ENV, cloud="io.net", jurisdiction=jurisdiction)


def test_a_paid_stack_needs_its_keys_from_the_environment_or_the_config() -> None:
    text = problems(env={}, cloud="io.net")
    assert "IOCLOUD_API_KEY: is not set" in text
    assert "CLOUDFLARE_API_TOKEN: is not set" in text
    assert load(
        env={},
        secret=("ionetApiKey", "cloudflare:apiToken"),
        cloud="io.net",
        ionetApiKey="k",
        **{"cloudflare:apiToken": "t"},
    )


@pytest.mark.parametrize(
    ("jurisdiction", "host"), [("default", ""), ("eu", ".eu"), ("fedramp", ".fedramp")]
)
def test_the_bucket_is_reached_in_its_jurisdiction(jurisdiction: str, host: str) -> None:
    settings = load(env=PAID_ENV, cloud="io.net", jurisdiction=jurisdiction)
    account = DEV["cloudflareAccountId"]
    assert settings.r2_endpoint == f"https://{account}{host}.r2.cloudflarestorage.com"


def test_a_run_of_a_sweep_overrides_the_stack_and_adds_to_its_recipe_settings() -> None:
    settings = load(
        recipeSettings={"depth": 3},
        runs={"a": {}, "b": {"recipeSettings": {"num_iterations": 9}, "rerun": 2}},
    )
    a, b = settings.runs
    assert a.recipe_settings == {"depth": 3}
    assert b.recipe_settings == {"depth": 3, "num_iterations": 9}
    assert (a.rerun, b.rerun) == (0, 2)
    assert a.training_hash != b.training_hash


def test_what_does_not_change_the_training_does_not_change_its_hash() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"durationHours": 3},
        {"keepAlive": True},
        {"deviceBatchSize": 4},
        {"maxCostUsd": 7},
        {"locations": ["US"]},
    ]
    hashes = {load(**change).runs[0].training_hash for change in changes}
    assert len(hashes) == 1


def test_another_default_of_the_recipe_is_another_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the old prefix the container refuses to train, and bills until its hours are over."""
    before = load().runs[0].training_hash
    settings = {**rehearsal.RECIPE.settings, "depth": Setting(default=5, help="changed")}
    changed = dataclasses.replace(rehearsal.RECIPE, settings=settings)
    monkeypatch.setattr(rehearsal, "RECIPE", changed)
    assert load().runs[0].training_hash != before
    assert load(recipeSettings={"depth": 4}).runs[0].training_hash == before


def test_a_wandb_run_needs_a_key() -> None:
    assert "pulumi config set --secret trainstack:wandbApiKey" in problems(wandbRun="my run")
    assert load(secret=("wandbApiKey",), wandbApiKey="k", wandbRun="my run")


def test_a_recipe_that_needs_gpus_is_not_put_on_a_cpu() -> None:
    pytest.importorskip("container.recipes.nanochat_d20")
    assert "needs GPUs" in problems(recipe="nanochat-d20")


def test_hours_must_cover_the_run() -> None:
    pytest.importorskip("container.recipes.nanochat_d20")
    text = problems(recipe="nanochat-d20", gpuType="H100", gpusPerContainer=8, durationHours=1)
    assert "trainstack:durationHours = 1: nanochat-d20 takes about" in text


def test_a_name_too_long_for_the_vendor_is_refused_before_anything_is_rented() -> None:
    with pytest.raises(SettingsError, match="too long for a deployment's name"):
        load_settings(
            {f"trainstack:{key}": str(value) for key, value in DEV.items()},
            secret_keys=frozenset(),
            env=LOCAL_ENV,
            project="trainstack",
            stack="s" * 100,
        )


@pytest.mark.parametrize("key", ["notifyUrl", "pingUrl"])
def test_who_is_told_is_a_secret_address(key: str) -> None:
    assert f"pulumi config set --secret trainstack:{key}" in problems(
        None, **{key: "https://x/planted"}
    )
    for wrong in ("planted", "ftp://x/planted", "https://x/plan ted", "https://é/planted"):
        told = problems(None, secret=(key,), **{key: wrong})
        assert f"trainstack:{key}: the value (secret) is not allowed" in told
        assert "planted" not in told
    settings = load(None, secret=(key,), **{key: " https://x/planted\n"})
    assert "https://x/planted" in (settings.notify_url, settings.ping_url)
    assert "planted" not in repr(settings)
