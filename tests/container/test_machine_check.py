"""The checks before the money goes: passed, refused, unknown; unknown never blocks."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from container.contract.clock import Clock
from container.contract.commits import Generation
from container.contract.environment import RunEnvironment
from container.contract.keys import STATUS_KEY, VERDICT_KEY, attempt_key
from container.contract.records import Attempt, RunStatus
from container.recipes._nanochat_commits import TODAY
from container.storage.bucket import BucketUnavailableError, RunBucket
from container.storage.resume import SAME_POINT_LIMIT
from container.supervisor import machine_check
from container.supervisor.machine_check import Check, verify
from container.transport.r2 import make_client
from tests.container.conftest import BUCKET, Launch, Running, wait_for
from tests.container.recipes import fake_recipe, trainer_stage
from tests.container.s3_server import S3Server


@pytest.fixture
def environment(bucket: RunBucket, s3: S3Server, tmp_path: Path) -> RunEnvironment:
    return RunEnvironment.from_env(
        {
            "RUN_PREFIX": bucket.prefix,
            "RECIPE": "fake",
            "R2_ENDPOINT": s3.endpoint,
            "R2_BUCKET": BUCKET,
            "R2_ACCESS_KEY_ID": "x",
            "R2_SECRET_ACCESS_KEY": "x",
            "WORK_DIR": str(tmp_path / "work"),
        }
    )


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def nvidia_smi(folder: Path, lines: list[str]) -> None:
    """Put a stand-in for the driver's tool on PATH."""
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(lines) + "\nEND\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def check(environment: RunEnvironment, bucket: RunBucket, **changes: Any) -> dict[str, Check]:
    recipe = fake_recipe(trainer_stage(), **changes)
    return by_name(verify(environment, recipe, bucket, clock=Clock())[0])


def test_a_machine_as_ordered_passes_and_leaves_nothing_in_the_bucket(
    environment: RunEnvironment, bucket: RunBucket
):
    checks = check(environment, bucket)
    assert {one.outcome for one in checks.values()} == {"passed"}
    assert "MiB/s up" in checks["network"].detail
    assert bucket.list() == {}


def test_the_probe_is_deleted_even_when_that_is_refused_at_first(
    environment: RunEnvironment, bucket: RunBucket, monkeypatch: pytest.MonkeyPatch
):
    """It is 8 MiB, and was left in the bucket."""
    delete, refusals = bucket.delete, [BucketUnavailableError("busy")]

    def busy(key: str) -> None:
        if refusals:
            raise refusals.pop()
        delete(key)

    monkeypatch.setattr(bucket, "delete", busy)
    checks = check(environment, bucket)
    assert {one.outcome for one in checks.values()} == {"passed"}
    assert bucket.list() == {}


GPU = "NVIDIA H100 80GB HBM3, 81559, 570.86"
CASES: list[tuple[list[str], str, str, str]] = [
    ([GPU] * 8, "gpus", "passed", "8 of 8: NVIDIA H100 80GB HBM3"),
    ([GPU] * 7, "gpus", "refused", "7 of 8"),
    ([GPU] * 8, "gpu model", "passed", "H100"),
    (["NVIDIA A100-SXM4-40GB, 40960, 570.86"] * 8, "gpu model", "refused", "found NVIDIA A100"),
    (["NVIDIA H100 80GB HBM3, 40960, 570"] * 8, "gpu memory", "refused", "40.0 GiB each"),
]


SXM, PCIE = "NVIDIA H100 80GB HBM3, 81559", "NVIDIA H100 PCIe, 81559"
NVL = "NVIDIA H100 NVL, 95830"
A100_80, A100_40 = "NVIDIA A100-SXM4-80GB, 81920", "NVIDIA A100-SXM4-40GB, 40960"
ORDERS: list[tuple[str, str, str, str]] = [
    # what was asked for, what the offer said, what is there, how it is judged
    ("H100", "H100 SXM 80GB", SXM, "passed"),
    ("H100", "H100 SXM 80GB", PCIE, "refused, about 1.6 x slower"),
    ("H100", "H100 80GB", PCIE, "refused, about 1.6 x slower"),
    ("H100", "", PCIE, "refused, about 1.6 x slower"),
    ("H100", "", NVL, "refused, about 1.4 x slower"),
    ("H100", "H100 PCIe 80GB", PCIE, "passed"),
    ("H100 PCIe", "", PCIE, "passed"),
    ("H100 PCIe", "H100 PCIe 80GB", SXM, "passed"),
    ("H100 SXM", "H100 SXM 80GB", SXM, "passed"),
    ("H100", "H100 SXM 80GB", "NVIDIA H200, 143771", "refused, found NVIDIA H200"),
    ("H200", "H200 141GB", "NVIDIA H200, 143771", "passed"),
    ("A100", "A100 SXM 80GB", A100_80, "passed"),
    ("A100", "A100 SXM 80GB", A100_40, "refused, with 40.0 GiB, not 80 GB"),
    ("A100", "A100", A100_40, "passed"),
    ("RTX 4090", "4090 24GB", "NVIDIA GeForce RTX 4090, 24564", "passed"),
    ("RTX A6000", "A6000 48GB", "NVIDIA RTX A6000, 49140", "passed"),
]


@pytest.mark.parametrize(("asked", "offered", "line", "judged"), ORDERS)
def test_a_machine_that_is_not_what_was_ordered_is_refused_by_its_form_and_memory(
    environment: RunEnvironment,
    bucket: RunBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    offered: str,
    line: str,
    judged: str,
):
    """An H100 PCIe passed for an H100, and took 1.6 times as long as its hours were for."""
    nvidia_smi(tmp_path, [f"{line}, 570"])
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    ordered = replace(environment, gpu_type=asked, gpu_rented=offered, gpus_per_container=1)
    found = check(ordered, bucket, gpu_type="H100 SXM", gpus=8)["gpu model"]
    outcome, _, detail = judged.partition(", ")
    assert found.outcome == outcome, found.detail
    assert detail in found.detail


@pytest.mark.parametrize(("lines", "name", "outcome", "detail"), CASES)
def test_gpus_are_held_against_the_order(
    environment: RunEnvironment,
    bucket: RunBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    name: str,
    outcome: str,
    detail: str,
):
    nvidia_smi(tmp_path, lines)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    ordered = replace(environment, gpu_type="8H100.80S.176V", gpus_per_container=8)
    found = check(ordered, bucket, min_gpu_memory_bytes=75 * 2**30)[name]
    assert found.outcome == outcome
    assert detail in found.detail


def test_a_model_that_is_not_known_here_blocks_nothing(
    environment: RunEnvironment,
    bucket: RunBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    nvidia_smi(tmp_path, ["NVIDIA X900, 200000, 1"])
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    checks = check(replace(environment, gpu_type="X900"), bucket)
    assert checks["gpu model"].outcome == "unknown"
    assert "refused" not in {one.outcome for one in checks.values()}


def test_gpus_ordered_but_no_driver_is_refused(environment: RunEnvironment, bucket: RunBucket):
    assert check(replace(environment, gpu_type="H100"), bucket)["gpus"].outcome == "refused"


def test_too_small_a_disk_is_refused(environment: RunEnvironment, bucket: RunBucket):
    assert check(environment, bucket, disk_bytes=10**18)["disk"].outcome == "refused"


def test_a_wrong_key_is_refused_and_an_absent_server_is_unknown(
    environment: RunEnvironment, bucket: RunBucket, s3: S3Server
):
    wrong = make_client(endpoint=s3.endpoint, access_key_id="nobody", secret_access_key="no")
    refused = check(environment, RunBucket(wrong, name=BUCKET, prefix="p"))
    assert refused["bucket"].outcome == "refused"
    away = make_client(endpoint="http://127.0.0.1:9", access_key_id="a", secret_access_key="b")
    unknown = check(environment, RunBucket(away, name=BUCKET, prefix="p"))
    assert unknown["bucket"].outcome == "unknown"


def refused(run: Running) -> str:
    """Wait until a container says that it does not train on its machine; return why."""
    wait_for(lambda: run.status().no_verdict, what=run.log)
    status = run.status()
    assert (status.machine, status.outcome) == ("refused", None)
    assert "stage started" not in run.log
    return status.no_verdict


def test_a_refusal_ends_the_attempt_while_it_is_cheap_and_is_no_verdict(
    launch: Launch, bucket: RunBucket
):
    run = launch(fake_recipe(trainer_stage(), disk_bytes=10**18))
    assert "not what was ordered: disk" in refused(run)
    attempt = Attempt.from_json(bucket.get(attempt_key(1)) or b"")
    assert "not what was ordered: disk" in attempt.refused
    assert bucket.get(VERDICT_KEY) is None
    told = RunStatus.from_json(bucket.get(STATUS_KEY) or b"")
    assert (told.machine, told.no_verdict) == ("refused", attempt.refused)


def test_however_many_machines_were_refused_the_next_one_trains(launch: Launch):
    for n in range(SAME_POINT_LIMIT + 1):
        run = launch(fake_recipe(trainer_stage(), disk_bytes=10**18), work=f"w{n}", holder=f"h{n}")
        refused(run)
        run.end()
    good = launch(fake_recipe(trainer_stage()), work="good", holder="good")
    assert good.verdict().outcome == "succeeded"
    assert good.status().machine == "passed"


@pytest.mark.parametrize(
    ("gpu", "recipe", "baked", "outcome"),
    [
        ("NVIDIA H100 80GB HBM3", TODAY, True, "passed"),
        ("NVIDIA H100 80GB HBM3", TODAY, False, "unknown"),
        ("NVIDIA A100-SXM4-80GB", TODAY, False, None),
        ("NVIDIA H100 80GB HBM3", None, False, None),
    ],
)
def test_an_image_without_flash_attention_is_told_where_it_would_be_fetched(
    environment: RunEnvironment,
    bucket: RunBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpu: str,
    recipe: Generation | None,
    baked: bool,
    outcome: str | None,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    nvidia_smi(tmp_path, [f"{gpu}, 81559, 570.1"])
    monkeypatch.setattr(machine_check, "ATTENTION_REVISION", tmp_path / "REVISION")
    if baked:
        (tmp_path / "REVISION").write_text("de87b9b sha256:00\n")
    found = check(environment, bucket, nanochat=recipe).get("Flash Attention 3")
    assert (found.outcome if found else None) == outcome
    if found:
        assert ("de87b9b" if baked else "fetches it on paid time") in found.detail
