"""The image itself: built, started, killed in the middle of training, started again; real training.

The containers use the host's network, so that they reach the tests' S3 server on loopback.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import docker
import docker.errors
import pytest
import requests

from container.contract.records import Manifest, RunStatus, Verdict
from container.storage.bucket import RunBucket
from tests import ROOT
from tests.container.conftest import BUCKET, TOKEN, wait_for
from tests.container.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
TAG = "trainstack-tests/rehearsal:latest"
SETTINGS = {
    "depth": 2,
    "vocab_size": 300,
    "shards": 1,
    "num_iterations": 240,
    "save_every": 40,
    "eval_every": 240,
    "sft_iterations": 4,
    "sft_save_every": 2,
    "eval_problems": 4,
    "threads": 1,
}


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    from localcloud.docker import daemon

    daemon.ensure_running()
    client = daemon.connect()
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> str:
    from localcloud.docker import base_image

    base_image.ensure_base_image(print)
    engine.images.build(
        path=str(ROOT / "container"),
        target="rehearsal",
        buildargs={"BASE_IMAGE": base_image.TAG},
        tag=TAG,
        rm=True,
    )
    return TAG


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mirror"), free_port()
    command = [
        sys.executable,
        "-m",
        "localcloud.datasets.mirror",
        "--host=127.0.0.1",
        f"--port={port}",
    ]
    process = subprocess.Popen([*command, f"--folder={folder}"], cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{url}/manifest.json"), timeout_s=60)
        yield url
    finally:
        process.terminate()
        process.wait(20)


class Started:
    """A container of the image, with its page."""

    def __init__(self, container: Any, port: int) -> None:
        self.container = container
        self.url = f"http://127.0.0.1:{port}"

    @property
    def log(self) -> str:
        return self.container.logs().decode()

    def status(self) -> RunStatus | None:
        with suppress(requests.RequestException):
            answer = requests.get(f"{self.url}/status.json", timeout=5)
            return RunStatus.from_json(answer.content)
        return None


Run = Callable[..., Started]


@pytest.fixture
def run(
    engine: docker.DockerClient, image: str, mirror: str, s3: S3Server, bucket: RunBucket
) -> Iterator[Run]:
    made: list[Any] = []

    def start(*, prefix: str = bucket.prefix, bare: bool = False, **more: str) -> Started:
        port = free_port()
        rented = {
            "RUN_NAME": "main",
            "RUN_PREFIX": prefix,
            "RECIPE": "rehearsal",
            "RECIPE_SETTINGS": json.dumps(SETTINGS),
            "R2_ENDPOINT": s3.endpoint,
            "R2_BUCKET": BUCKET,
            "R2_ACCESS_KEY_ID": ACCESS_KEY,
            "R2_SECRET_ACCESS_KEY": SECRET_KEY,
            "ACCESS_TOKEN": TOKEN,
            "PRICE_USD_PER_HOUR": "0.40",
            "DATASET_MIRROR_URL": mirror,
            "TRAFFIC_PORT": str(port),
        }
        environment = {**(guides_seven(s3) if bare else rented), **more}
        container = engine.containers.run(
            image, detach=True, network_mode="host", environment=environment
        )
        made.append(container)
        return Started(container, int(environment.get("TRAFFIC_PORT", port)))

    yield start
    for container in made:
        with suppress(docker.errors.NotFound):
            container.remove(force=True)


def guides_seven(s3: S3Server) -> dict[str, str]:
    return {
        "R2_ENDPOINT_URL": s3.endpoint,
        "R2_BUCKET_NAME": BUCKET,
        "R2_ACCESS_KEY_ID": ACCESS_KEY,
        "R2_SECRET_ACCESS_KEY": SECRET_KEY,
        "WANDB_API_KEY": "",
        "WANDB_RUN": "dummy",
        "KEEP_ALIVE": "true",
    }


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(url: str) -> bool:
    with suppress(requests.RequestException):
        return requests.get(url, timeout=5).ok
    return False


def hashes(bucket: RunBucket) -> dict[str, str]:
    """Return the hash of each weight file that the manifest lists."""
    manifest = Manifest.from_json(bucket.get("manifest.json") or b"")
    return {
        artifact.key: artifact.sha256
        for artifact in manifest.artifacts
        if artifact.key.startswith(("checkpoints/", "tokenizer/")) and artifact.key.endswith(".pt")
    }


def test_killed_while_it_trains_and_started_again_it_ends_with_bit_identical_weights(
    run: Run, bucket: RunBucket
):
    undisturbed = RunBucket(bucket.client, name=BUCKET, prefix=f"{bucket.prefix}-undisturbed")
    whole = run(prefix=undisturbed.prefix, KEEP_ALIVE="true")
    wait_for(lambda: undisturbed.get("verdict.json"), timeout_s=400)
    assert Verdict.from_json(undisturbed.get("verdict.json") or b"").outcome == "succeeded"

    wait_for(lambda: answers(f"{whole.url}/health"))
    question = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    wait_for(lambda: "the model is served" in whole.log, timeout_s=60)
    answer = requests.post(
        f"{whole.url}/v1/chat/completions",
        json=question,
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=60,
    )
    assert answer.json()["choices"][0]["message"]["role"] == "assistant"
    whole.container.stop(timeout=20)
    assert whole.container.wait()["StatusCode"] == 0

    first = run()
    wait_for(lambda: bucket.get("checkpoints/base/d2/complete_000040.json"), timeout_s=300)
    first.container.kill()
    second = run()  # another machine: nothing of the first is on its disk
    # The first holds the lease until it has been silent for long enough.
    wait_for(lambda: bucket.get("verdict.json"), timeout_s=400)
    verdict = Verdict.from_json(bucket.get("verdict.json") or b"")
    assert (verdict.outcome, verdict.attempt) == ("succeeded", 2), second.log
    assert "goes on from step" in second.log
    assert len(hashes(bucket)) >= 9
    assert hashes(bucket) == hashes(undisturbed)
    for secret in (SECRET_KEY, TOKEN):
        assert secret not in second.log


def test_a_bare_container_goes_on_under_its_prefix_and_no_other_shares_it(
    run: Run, mirror: str, bucket: RunBucket
):
    """The guide's variables, and what makes the run small: no prefix, no GPUs, no token."""

    def bare() -> Started:
        return run(
            bare=True,
            RECIPE="rehearsal",
            RECIPE_SETTINGS=json.dumps({**SETTINGS, "num_iterations": 600}),
            DATASET_MIRROR_URL=mirror,
            TRAFFIC_PORT=str(free_port()),
        )

    def prefixes(one: Started) -> list[str]:
        return re.findall(r"this run's prefix is (rehearsal-d2-\d{8}-\d{6})\n", one.log)

    first = bare()
    (prefix,) = wait_for(lambda: prefixes(first), timeout_s=120, what=lambda: first.log)
    own = RunBucket(bucket.client, name=BUCKET, prefix=prefix)
    wait_for(lambda: own.get("checkpoints/base/d2/complete_000040.json"), timeout_s=300)

    other = bare()  # another machine on the same bucket, at the same time
    wait_for(lambda: prefixes(other), timeout_s=120, what=lambda: other.log)
    assert prefixes(other) != [prefix]
    other.container.remove(force=True)

    first.container.kill()
    first.container.start()
    wait_for(lambda: len(prefixes(first)) == 2, timeout_s=60, what=lambda: first.log)
    assert prefixes(first) == [prefix, prefix]
    wait_for(lambda: "goes on from step" in first.log, timeout_s=120, what=lambda: first.log)

    first.container.remove(force=True)
    anew = bare()  # made anew: nothing of the first is on its disk
    wait_for(lambda: prefixes(anew), timeout_s=200, what=lambda: anew.log)
    assert prefixes(anew) == [prefix]
    wait_for(lambda: own.get("verdict.json"), timeout_s=500, what=lambda: anew.log)
    verdict = Verdict.from_json(own.get("verdict.json") or b"")
    assert verdict.outcome == "succeeded", anew.log
    assert own.get("model/sft.pt")
    assert SECRET_KEY not in anew.log


def test_docker_stop_ends_the_run_as_stopped_within_the_engines_ten_seconds(
    run: Run, bucket: RunBucket
):
    settings = json.dumps({**SETTINGS, "num_iterations": 100_000})
    one = run(RECIPE_SETTINGS=settings)
    wait_for(lambda: (found := one.status()) and found.step, timeout_s=300)
    begin = time.monotonic()
    one.container.stop(timeout=10)
    assert time.monotonic() - begin < 10
    assert one.container.wait()["StatusCode"] == 0, one.log
    verdict = Verdict.from_json(bucket.get("verdict.json") or b"")
    assert (verdict.outcome, verdict.stage) == ("stopped", "base")


def test_no_process_beside_the_supervisor_can_read_its_environment(run: Run):
    one = run()
    wait_for(lambda: answers(f"{one.url}/health"))
    found = one.container.exec_run(["cat", "/proc/1/environ"])
    assert found.exit_code != 0
    assert b"denied" in found.output


def test_no_layer_and_no_default_of_the_image_holds_a_secret(
    engine: docker.DockerClient, image: str
):
    found = engine.images.get(image)
    names = {entry.partition("=")[0] for entry in found.attrs["Config"]["Env"]}
    assert not names & {"R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY", "ACCESS_TOKEN"}
    newest = [layer["Size"] for layer in found.history()[:1]]
    assert newest[0] < 2**20  # a changed recipe pushes kilobytes
