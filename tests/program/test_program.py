"""What `__main__.py` declares, seen through Pulumi's mocks."""

from __future__ import annotations

import json

import pulumi
import pytest

from components import image_context, run_image
from container.contract.environment import RunEnvironment
from tests import ROOT
from tests.program.conftest import ACCOUNT, LOCAL_ENV, Program

# The whole of pulumi_cloudflare is imported, its deprecated resources too.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PLANTED = ("planted-registry-secret", "planted-access-token", "cfat_planted-token-value")


def test_one_run_is_declared_with_all_its_parts_below_its_component(program: Program) -> None:
    declared = program()
    kinds = {found.name: found.type.rsplit(":", 1)[-1] for found in declared.resources}
    assert kinds == {
        "artifacts": "ArtifactStore",
        "artifacts-bucket": "R2Bucket",
        "image": "RunImage",
        "image-build": "Image",
        "main": "TrainingRun",
        "main-identity": "RunIdentity",
        "main-token": "AccountToken",
        "main-preflight": "Command",
        "main-deployment": "CaasDeployment",
        "main-ready": "DeploymentReady",
    }
    parents = {found.name: found.parent.rsplit("::", 1)[-1] for found in declared.resources}
    assert {parents[name] for name in kinds if name.startswith("main-")} == {"main"}
    assert parents["artifacts-bucket"] == "artifacts"
    assert parents["image-build"] == "image"


def test_types_of_dynamic_resources_are_named_as_the_state_has_them(program: Program) -> None:
    types = {found.type for found in program().resources}
    assert {
        "pulumi-python:dynamic/ionet:RunIdentity",
        "pulumi-python:dynamic/ionet:CaasDeployment",
        "pulumi-python:dynamic/ionet:DeploymentReady",
        "trainstack:index:TrainingRun",
    } <= types


def test_a_bucket_that_exists_is_adopted_and_always_kept(program: Program) -> None:
    bucket = program().one("R2Bucket")
    assert bucket.import_id == f"{ACCOUNT}/trainstack-rehearsal/default"
    assert bucket.options.retainOnDelete
    assert bucket.inputs["jurisdiction"] == "default"
    assert bucket.inputs["storageClass"] == "Standard"
    # R2 may answer 405 to the PATCH of another one (Alos-no/Cloudflare.NET pull request 41).
    assert list(bucket.options.ignoreChanges) == ["storageClass"]
    assert "location" not in bucket.inputs


def test_a_missing_bucket_is_made_first_and_then_adopted(program: Program) -> None:
    assert program(bucket_exists=False).one("R2Bucket").import_id != ""


def test_a_preview_makes_no_bucket_and_adopts_none(program: Program) -> None:
    bucket = program(bucket_exists=False, preview=True).one("R2Bucket")
    assert bucket.import_id == ""
    assert bucket.options.retainOnDelete


def test_the_runs_token_reaches_one_bucket_and_its_expiry_is_fixed(program: Program) -> None:
    token = program().one("AccountToken")
    (policy,) = token.inputs["policies"]
    assert policy["effect"] == "allow"
    assert [group["id"] for group in policy["permissionGroups"]] == [
        "2efd5506f9c8494dacb1fa10a3e7d5b6"
    ]
    bucket = f"com.cloudflare.edge.r2.bucket.{ACCOUNT}_default_trainstack-rehearsal"
    assert policy["resources"] == f'{{"{bucket}":"*"}}'
    assert token.inputs["name"] == "trainstack-dev-main-1a2b3c4d"
    assert list(token.options.ignoreChanges) == ["expiresOn"]
    assert list(token.options.replaceOnChanges) == ["name"]
    assert token.options.retainOnDelete  # revoked with its machine or identity, known or not
    renewed = program({"renew": 2}).one("AccountToken")
    assert renewed.inputs["name"] == "trainstack-dev-main-1a2b3c4d-2"


def test_the_image_is_used_by_digest_and_tagged_by_content(program: Program) -> None:
    declared = program()
    image = declared.one("image:Image")
    name, tag = image.inputs["imageName"].rsplit(":", 1)
    assert name == "127.0.0.1:5000/trainstack/rehearsal"
    assert len(tag) == 16
    assert image.inputs["build"]["context"] == ".image/context"
    assert image.inputs["build"]["dockerfile"] == ".image/context/Dockerfile"
    assert image.inputs["build"]["platform"] == "linux/amd64"
    # The plugin's own choice is BuildKit: https://github.com/moby/moby/issues/47823
    assert "builderVersion" not in image.inputs["build"]
    digest = f"{name}@sha256:{'0' * 64}"
    assert declared.one("CaasDeployment").inputs["image"] == digest
    assert declared.outputs["image"] == digest


def test_what_is_built_is_a_copy_of_the_listed_files_and_nothing_else(program: Program) -> None:
    """The source folder's modes, junk and line ends made another image of it."""
    context = ROOT / run_image.CONTEXT
    context.mkdir(parents=True, exist_ok=True)
    (context / "left.py").write_text("of another time")
    program()
    there = {one.relative_to(context).as_posix() for one in context.rglob("*") if one.is_file()}
    assert there == {*image_context.listed(ROOT / run_image.SOURCE)}


def test_the_deployment_waits_for_the_preflight_and_is_rented_under_its_identity(
    program: Program,
) -> None:
    declared = program()
    deployment = declared.one("CaasDeployment")
    assert any(urn.endswith("::main-preflight") for urn in deployment.depends_on)
    assert deployment.inputs["namePrefix"] == "trainstack-dev-main-1a2b3c4d-"
    assert deployment.inputs["privateName"].startswith("trainstack-dev-main-1a2b3c4d-")
    assert declared.outputs["r2_prefix"].startswith("dev-main-1a2b3c4d-")
    env = deployment.inputs["env"]
    assert env["RUN_PREFIX"] == declared.outputs["r2_prefix"]
    assert env["KEEP_ALIVE"] == "true"
    assert env["DATASET_MIRROR_URL"] == LOCAL_ENV["DATASET_MIRROR_URL"]
    assert not any(secret in json.dumps(env) for secret in PLANTED)


def test_the_preflight_gets_the_runs_own_credentials_and_runs_again_when_they_change(
    program: Program,
) -> None:
    preflight = program().one("Command")
    environment = preflight.inputs["environment"]
    assert environment["R2_ACCESS_KEY_ID"] == "main-token-id"
    assert len(environment["R2_SECRET_ACCESS_KEY"]) == 64
    assert preflight.inputs["create"] == ".venv/bin/python -m components.preflight"
    # A changed variable is an update, which runs the command again and replaces nothing.
    assert "triggers" not in preflight.inputs
    elsewhere = program({"locations": ["US"]}).one("Command").inputs["environment"]
    assert elsewhere["RENTAL"] != environment["RENTAL"]


def test_what_a_preflight_could_not_find_out_is_told_whenever_it_has_run(program: Program) -> None:
    """The command provider shows it in passing only; what is told: tests/e2e/test_what_is_told."""
    declared = program({"runs": {"a": {"renew": 1}, "b": {}}})
    for preflight in declared.of("Command"):
        hook = f"{preflight.name}-unknown"
        assert list(preflight.options.hooks.after_create) == [hook]
        assert list(preflight.options.hooks.after_update) == [hook]
        assert not preflight.options.hooks.before_delete, "a destroy needs no program"
        assert hook in declared.hooks


def test_the_preflight_gets_the_wandb_key_of_a_run_that_reports_to_it(program: Program) -> None:
    """Of any other run it sees nothing: what was declared before shows no change."""
    config = {"wandbApiKey": "planted-wandb-key", "wandbRun": "mine"}
    reporting = program(config).one("Command").inputs["environment"]
    assert reporting["WANDB_API_KEY"] == "planted-wandb-key"
    assert "WANDB_API_KEY" not in program().one("Command").inputs["environment"]


def test_who_is_told_is_a_secret_of_the_deployment_and_not_there_where_nobody_is(
    program: Program,
) -> None:
    nobody = program().one("CaasDeployment")
    assert {"notifyUrl", "pingUrl"} & set(nobody.inputs) == set()
    told = program({"notifyUrl": "https://x/planted", "pingUrl": "https://y/planted"})
    deployment = told.one("CaasDeployment")
    assert deployment.inputs["notifyUrl"] == "https://x/planted"
    assert {"notifyUrl", "pingUrl"} <= deployment.secrets
    assert "planted" not in json.dumps(deployment.inputs["env"])


def test_the_container_reads_back_what_the_program_declares(program: Program) -> None:
    """Written in three places and read in a fourth, once; no test fed one to the other."""
    declared = program({"recipeSettings": {"depth": 2}, "stopGraceSeconds": 30}).one(
        "CaasDeployment"
    )
    secrets = {"R2_ACCESS_KEY_ID": "a", "R2_SECRET_ACCESS_KEY": "s"}
    read = RunEnvironment.from_env({**declared.inputs["env"], **secrets})
    assert read == RunEnvironment(
        run="main",
        prefix=declared.inputs["r2Prefix"],
        recipe="rehearsal",
        settings={"depth": 2},
        endpoint=declared.inputs["r2Endpoint"],
        bucket=declared.inputs["bucket"],
        access_key_id="a",
        secret_access_key="s",
        keep_alive=read.keep_alive,
        gpu_type="CPU",
        mirror_url=LOCAL_ENV["DATASET_MIRROR_URL"],
        stop_grace_s=30.0,
    )


def test_every_secret_is_marked_wherever_it_goes(program: Program) -> None:
    declared = program()
    assert {"accessKeyId", "secretAccessKey", "accessToken", "registrySecret", "wandbApiKey"} <= (
        declared.one("CaasDeployment").secrets
    )
    for found in declared.resources:
        plain = {key: value for key, value in found.inputs.items() if key not in found.secrets}
        plain.pop("registry", None)  # its password is marked inside
        plain.pop("environment", None)
        assert not any(secret in json.dumps(plain) for secret in PLANTED), found.name
    assert declared.secret_outputs == {"access_token"}


def test_one_run_exports_plain_values(program: Program) -> None:
    outputs = program().outputs
    assert outputs["deployment_id"] == "dep-main-deployment"
    assert outputs["bucket"] == "trainstack-rehearsal"
    assert outputs["estimated_cost_usd"] == 0.4
    assert outputs["status_url"] == "http://127.0.0.1:9"
    assert set(outputs) == {
        "access_token",
        "bucket",
        "deployment_id",
        "estimated_cost_usd",
        "image",
        "r2_prefix",
        "status_url",
    }


def test_a_sweep_declares_each_run_with_its_overrides_and_exports_a_value_each(
    program: Program,
) -> None:
    declared = program(
        {"runs": {"a": {}, "b": {"recipeSettings": {"num_iterations": 7}, "durationHours": 2}}}
    )
    deployments = {found.inputs["run"]: found.inputs for found in declared.of("CaasDeployment")}
    assert deployments["b"]["durationHours"] == 2
    assert json.loads(deployments["b"]["env"]["RECIPE_SETTINGS"]) == {"num_iterations": 7}
    assert deployments["a"]["durationHours"] == 1
    assert deployments["a"]["r2Prefix"] != deployments["b"]["r2Prefix"]
    assert declared.outputs["deployment_id"] == {"a": "dep-a-deployment", "b": "dep-b-deployment"}
    assert declared.secret_outputs == {"access_token"}
    assert len(declared.of("image:Image")) == 1


def test_a_sweep_rents_every_machine_before_it_waits_for_any(program: Program) -> None:
    declared = program({"runs": {"a": {}, "b": {}}})
    for ready in declared.of("DeploymentReady"):
        waits_for = {urn.rsplit("::", 1)[-1] for urn in ready.depends_on}
        assert {"a-deployment", "b-deployment"} <= waits_for


def test_64_runs_fit_into_one_stack(program: Program) -> None:
    declared = program({"runs": {f"run-{number}": {} for number in range(64)}})
    assert len(declared.of("CaasDeployment")) == 64


def test_a_changed_hyperparameter_is_another_prefix_and_another_name(program: Program) -> None:
    one = program().one("CaasDeployment").inputs
    other = program({"recipeSettings": {"num_iterations": 7}}).one("CaasDeployment").inputs
    assert one["r2Prefix"] != other["r2Prefix"]
    assert one["privateName"] != other["privateName"]


def test_a_changed_batch_size_is_another_machine_that_resumes_on_the_same_prefix(
    program: Program,
) -> None:
    one = program().one("CaasDeployment").inputs
    other = program({"deviceBatchSize": 4}).one("CaasDeployment").inputs
    assert one["r2Prefix"] == other["r2Prefix"]
    assert one["privateName"] != other["privateName"]


def test_hours_and_cap_change_no_name(program: Program) -> None:
    one = program().one("CaasDeployment").inputs
    other = program({"durationHours": 3, "maxCostUsd": 9}).one("CaasDeployment").inputs
    assert one["privateName"] == other["privateName"]


def test_a_bad_config_is_one_message_and_nothing_is_declared(program: Program) -> None:
    with pytest.raises(pulumi.RunError) as failed:
        program({"durationHours": 0, "gpuTyp": "H100"}, env={})
    text = str(failed.value)
    assert "trainstack:durationHours" in text
    assert "trainstack:gpuTyp: unknown key; did you mean gpuType?" in text
    assert "source .local/env" in text
    assert failed.value.__cause__ is None


@pytest.mark.parametrize(
    ("given", "used"),
    [({}, LOCAL_ENV["DATASET_MIRROR_URL"]), ({"datasetMirror": "https://m"}, "https://m")],
)
def test_the_configs_mirror_reaches_the_machine_and_the_preflight(
    program: Program, given: dict[str, str], used: str
) -> None:
    """Only the local world's environment could name one: a paid run had none."""
    declared = program(given)
    assert declared.one("CaasDeployment").inputs["env"]["DATASET_MIRROR_URL"] == used
    environment = declared.one("Command").inputs["environment"]
    assert (environment["DATASET_MIRROR_URL"], environment["RECIPE"]) == (used, "rehearsal")


@pytest.mark.parametrize("mirror", ["https://hub.example/api/hf", ""])
def test_the_hubs_mirror_reaches_the_machine_by_the_name_that_its_libraries_read(
    program: Program, mirror: str
) -> None:
    """Without one nothing is declared that an older stack did not have."""
    declared = program({"hubMirror": mirror} if mirror else {})
    machine = declared.one("CaasDeployment").inputs["env"]
    asked = declared.one("Command").inputs["environment"]
    told = {"HF_ENDPOINT": mirror} if mirror else {}
    assert {name: text for name, text in machine.items() if name == "HF_ENDPOINT"} == told
    assert asked.get("HUB_MIRROR", "") == mirror
    assert "HF_ENDPOINT" not in asked, "it would ask by the operator's own library's settings"
    assert ("HUB_MIRROR" in asked) == bool(mirror)
