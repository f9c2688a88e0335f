"""The rehearsal's programs in their image: training, killed and resumed; evaluation; chat."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from container.contract.recipe import Stage, load_recipe, render, render_argv
from localcloud.datasets.corpus import build_corpus
from localcloud.docker.base_image import TAG, ensure_base_image
from localcloud.docker.daemon import connect, ensure_running
from tests import ROOT

IMAGE = "trainstack-test-rehearsal"
WAIT_S = 240

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    ensure_running()
    ensure_base_image(print)
    with closing(connect(timeout_s=600)) as client:
        client.images.build(
            path=str(ROOT / "container"),
            target="rehearsal",
            tag=IMAGE,
            buildargs={"BASE_IMAGE": TAG},
            rm=True,
        )
        yield client


@dataclass
class Machine:
    """Runs programs of the image on one work folder."""

    engine: docker.DockerClient
    folder: Path
    started: list[Container]

    def start(self, argv: list[str], *, port: int | None = None) -> Container:
        container = self.engine.containers.run(
            IMAGE,
            argv[1:],
            entrypoint=argv[0],
            detach=True,
            working_dir="/app",
            volumes={str(self.folder): {"bind": "/workspace", "mode": "rw"}},
            environment=environment(),
            ports={f"{port}/tcp": ("127.0.0.1", 0)} if port else {},
            labels={"trainstack.test": "rehearsal"},
        )
        self.started.append(container)
        return container

    def run(self, argv: list[str]) -> tuple[int, str]:
        """Run to the end; return exit code and output."""
        container = self.start(argv)
        code = container.wait(timeout=WAIT_S)["StatusCode"]
        return code, container.logs().decode()

    def on(self, folder: Path) -> Machine:
        """Return the same machine on a copy of the work folder."""
        shutil.copytree(self.folder, folder)
        return Machine(self.engine, folder, self.started)


def environment() -> dict[str, str]:
    return {
        name: render(text, template_values())
        for name, text in stage("base").env.items()
        if name != "DATASET_MIRROR_URL"
    }


def stage(name: str) -> Stage:
    return next(one for one in load_recipe("rehearsal").stages if one.name == name)


def template_values(**given: Any) -> dict[str, Any]:
    """Return a size that trains in a few seconds; every value can be given."""
    recipe = load_recipe("rehearsal")
    small = {
        "depth": 2,
        "max_seq_len": 32,
        "vocab_size": 300,
        "num_iterations": 60,
        "save_every": 20,
        "eval_every": 20,
        "total_batch_size": 256,
        "sft_iterations": 8,
        "sft_save_every": 4,
        "eval_problems": 4,
        "device_batch_size": 4,  # half of a step: gradients are accumulated
        "workdir": "/workspace",
        "app": "/app",
        "python": "python",
        "mirror_url": "",
        "tag": "d2",
        "port": 8001,
        "resume_step": -1,
    }
    return {**recipe.values(), **small, **given}


def argv(name: str, *, resume: bool = False, **given: Any) -> list[str]:
    one = stage(name)
    return render_argv((*one.argv, *(one.resume_argv if resume else ())), template_values(**given))


def wait_for_line(container: Container, pattern: str) -> str:
    """Return the first line that matches, as soon as it is there."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = re.search(pattern, container.logs().decode(), re.MULTILINE)
        if found:
            return found[0]
        container.reload()
        assert container.status in ("created", "running"), container.logs().decode()
        time.sleep(0.05)  # polls the log
    raise AssertionError(f"no line like {pattern} within {WAIT_S} s")


@pytest.fixture(scope="module")
def machine(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """A work folder with data, a tokenizer and a base model that nothing disturbed."""
    corpus = build_corpus(tmp_path_factory.mktemp("corpus") / "mirror")
    folder = tmp_path_factory.mktemp("work")
    (folder / "base_data").mkdir()
    shards = sorted(corpus.glob("shard_*.gz"))
    for file in (shards[0], shards[-1]):
        shutil.copy(file, folder / "base_data")
    shutil.copy(corpus / "conversations.jsonl", folder)
    made = Machine(engine, folder, [])
    try:
        for name in ("tokenizer", "base"):
            code, output = made.run(argv(name))
            assert code == 0, output
            (folder / f"{name}.log").write_text(output)
        yield made
    finally:
        for container in made.started:
            container.remove(force=True)


@pytest.fixture
def untrained(machine: Machine, tmp_path: Path) -> Machine:
    """The same work folder before base training."""
    copy = machine.on(tmp_path / "work")
    shutil.rmtree(copy.folder / "base_checkpoints")
    return copy


def weights(machine: Machine, step: int = 60, folder: str = "base_checkpoints") -> list[bytes]:
    names = (f"model_{step:06d}.pt", f"optim_{step:06d}_rank0.pt")
    return [(machine.folder / folder / "d2" / name).read_bytes() for name in names]


def newest_step(machine: Machine) -> int:
    metas = sorted((machine.folder / "base_checkpoints" / "d2").glob("meta_*.json"))
    return int(metas[-1].stem.removeprefix("meta_"))


def test_the_loss_falls_and_every_checkpoint_is_there(machine: Machine) -> None:
    folder = machine.folder / "base_checkpoints" / "d2"
    assert len(list(folder.iterdir())) == 9
    log = (machine.folder / "base.log").read_text()
    losses = [float(text) for text in re.findall(r"^step .* loss: ([\d.]+)", log, re.MULTILINE)]
    assert len(losses) == 60
    assert losses[-1] < losses[0] - 0.5
    bpb = [float(text) for text in re.findall(r"Validation bpb: ([\d.]+)", log)]
    assert bpb == sorted(bpb, reverse=True)
    assert "gradient accumulation steps: 2" in log


def test_a_killed_and_resumed_training_ends_with_the_same_weights(
    machine: Machine, untrained: Machine
) -> None:
    container = untrained.start(argv("base"))
    wait_for_line(container, r"^step 0002[1-9]")
    container.kill()
    container.wait(timeout=WAIT_S)
    code, output = untrained.run(argv("base", resume=True, resume_step=newest_step(untrained)))
    assert code == 0, output
    assert weights(untrained) == weights(machine)


def test_sigterm_saves_the_step_and_the_rest_ends_with_the_same_weights(
    machine: Machine, untrained: Machine
) -> None:
    container = untrained.start(argv("base", save_every=1000))  # else chance may meet a save
    wait_for_line(container, r"^step 00005")
    container.kill("SIGUSR1")
    wait_for_line(container, r"most recent call first")
    container.kill("SIGTERM")
    assert container.wait(timeout=WAIT_S)["StatusCode"] == 143
    step = newest_step(untrained)
    assert f"SIGTERM: stopped after step {step:05d}" in container.logs().decode()
    assert 5 <= step < 60
    code, output = untrained.run(argv("base", resume=True, resume_step=step))
    assert code == 0, output
    assert weights(untrained) == weights(machine)


@pytest.mark.parametrize("given", [{"num_iterations": 80}, {"total_batch_size": 512}])
def test_a_checkpoint_is_not_resumed_with_other_flags(
    machine: Machine, given: dict[str, Any]
) -> None:
    code, output = machine.run(argv("base", resume=True, resume_step=20, **given))
    assert code == 1
    assert "Cannot resume d2 from step 20" in output


def test_a_smaller_device_batch_goes_on_with_the_same_step_size(
    untrained: Machine, machine: Machine
) -> None:
    code, output = machine.on(untrained.folder.with_name("smaller")).run(
        argv("base", resume=True, resume_step=40, device_batch_size=2)
    )
    assert code == 0, output
    assert "gradient accumulation steps: 4" in output


def test_the_rest_of_the_run_ends_in_a_report_and_a_model_that_answers(machine: Machine) -> None:
    for name in ("base_eval", "sft", "eval", "report"):
        code, output = machine.run(argv(name))
        assert code == 0, output
    sft = weights(machine, 8, "chatsft_checkpoints")
    code, output = machine.run(argv("sft", resume=True, resume_step=4))
    assert code == 0, output
    assert weights(machine, 8, "chatsft_checkpoints") == sft
    report = (machine.folder / "report" / "report.md").read_text()
    assert "No section" not in report
    assert re.search(r"\| Validation bpb \(base\) \| \d", report)
    chat = load_recipe("rehearsal").chat
    assert chat is not None
    command = render_argv(chat.argv, template_values())
    command[command.index("127.0.0.1")] = "0.0.0.0"
    container = machine.start(command, port=8001)
    ask = asker(container)
    whole = json.loads(ask({"messages": [{"role": "user", "content": "What is a list?"}]}))
    answer = whole["choices"][0]["message"]["content"]
    assert answer.strip()
    streamed = ask({"messages": [{"role": "user", "content": "What is a list?"}], "stream": True})
    events = [line[6:] for line in streamed.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
    assert "".join(delta.get("content", "") for delta in deltas) == answer
    with pytest.raises(urllib.error.HTTPError, match="400"):
        ask({"messages": []})


def asker(container: Container) -> Callable[[dict[str, Any]], str]:
    """Wait until the model is served; return what asks it."""
    wait_for_line(container, r"^Serving d2-8")
    container.reload()
    published = container.ports["8001/tcp"]
    assert published
    port = published[0]["HostPort"]
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5).read()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)  # polls the server

    def ask(body: dict[str, Any]) -> str:
        request = urllib.request.Request(
            f"{address}/v1/chat/completions", json.dumps({"max_tokens": 24, **body}).encode()
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read().decode()

    return ask
