"""The image's recipe: what a change pushes anew, and what a build says that cannot go on."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import ROOT

DOCKERFILE = ROOT / "container/Dockerfile"
NETWORK = re.compile(r"apt-get|pip install|\bcurl -|\buv (sync|pip)|kernel\.py")
SOURCES = (
    "BASE_IMAGE",
    "CUDA_BASE",
    "PIP_INDEX_URL",
    "NANOCHAT_SOURCE",
    "TORCH_INDEX",
    "FA3_SOURCE",
)
# What a snippet would touch of the machine that runs this test.
ABSOLUTE = re.compile(r"(?<![\w.:/}])/(app|opt|tmp|var|usr)(?=/)")
MIRROR = "https://pypi.mirror.example/simple"
TORCH = "https://torch.mirror.example/whl"

UV_LOCK = """
source = { registry = "https://index.example/simple" }
source = { registry = "https://download.pytorch.org/whl/cpu" }
source = { registry = "https://download.pytorch.org/whl/cu128" }
wheels = [{ url = "https://download-r2.pytorch.org/whl/cu128/torch-2.9.1.whl" }]
"""

STUB = """#!/bin/sh
echo "$(basename "$0") $* ${PIP_INDEX_URL-unset}" >> "$CALLS"
case "$(basename "$0") $*" in $FAILING) echo "$SAYS" >&2; exit 7;; esac
"""
PYTHON = """#!/bin/sh
case "$1" in
-V) echo "Python $STUB_PYTHON";;
-c) exec {python} -c "import sys; sys.version_info = tuple(map(int, '$STUB_PYTHON'.split('.')))
$2";;
esac
"""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a target."""

    target: str
    keyword: str
    text: str


def parsed() -> list[Instruction]:
    found: list[Instruction] = []
    target = ""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    for joined in re.sub(r"\\\n", "", "\n".join(lines)).splitlines():
        keyword, _, text = joined.strip().partition(" ")
        if keyword == "FROM":
            target = text.rpartition(" AS ")[2]
        if keyword:
            found.append(Instruction(target, keyword, text))
    return found


INSTRUCTIONS = parsed()
RUNS = [one for one in INSTRUCTIONS if one.keyword == "RUN"]
TARGETS = ("rehearsal", "nanochat")


def of(target: str) -> list[Instruction]:
    return [one for one in INSTRUCTIONS if one.target == target]


def the_run(target: str, part: str) -> str:
    (found,) = [one.text for one in RUNS if one.target == target and part in one.text]
    return found


class Build:
    """Runs snippets with stand-ins of the programs, in a folder instead of the file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        programs = folder / "programs"
        for name in (
            *("app/venv/bin/pip", "opt/uv/bin/pip", "opt/uv/bin/uv"),
            "opt/nanochat/.venv/bin/python",
        ):
            self._write(folder / name, STUB)
        for name in ("apt-get", "curl", "tar", "rm"):
            self._write(programs / name, STUB)
        self._write(programs / "python3", PYTHON.format(python=sys.executable))
        for name in ("tmp", "opt/nanochat"):
            (folder / name).mkdir(exist_ok=True, parents=True)
        (folder / "opt/nanochat/uv.lock").write_text(UV_LOCK)
        (folder / "opt/nanochat/pyproject.toml").touch()

    @staticmethod
    def _write(program: Path, text: str) -> None:
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)

    def run(
        self,
        text: str,
        *,
        failing: str = "nothing",
        says: str = "",
        python: str = "3.12.3",
        **args: str,
    ) -> tuple[int, str]:
        """Return the exit code, and what was said on stderr; `failing` is a pattern of sh."""
        snippet = ABSOLUTE.sub(rf"{self.folder}/\1", text)
        variables = {
            "PATH": f"{self.folder / 'programs'}:/usr/bin:/bin",
            "CALLS": str(self.calls),
            "FAILING": failing,
            "SAYS": says,
            "STUB_PYTHON": python,
            "PIP_INDEX_URL": "",
            **defaults(),
            **args,
        }
        done = subprocess.run(
            ["sh", "-c", snippet],
            env=variables,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stderr

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


def defaults() -> dict[str, str]:
    return dict(one.text.split("=", 1) for one in INSTRUCTIONS if one.keyword == "ARG")  # type: ignore[arg-type]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_the_code_is_the_last_layer_of_its_image(target: str) -> None:
    last = of(target)[-1]
    assert (last.keyword, last.text) == ("COPY", ". /app/container/")


def test_a_changed_lock_of_the_supervisor_does_not_push_nanochats_environment_anew() -> None:
    """It lay below: a bumped boto3 pushed gigabytes."""
    texts = [f"{one.keyword} {one.text}" for one in of("nanochat")]
    (synced,) = [n for n, text in enumerate(texts) if "uv sync" in text]
    locks = [n for n, text in enumerate(texts) if "requirements.lock" in text]
    assert locks and min(locks) > synced
    (uv,) = [n for n, text in enumerate(texts) if text.startswith("COPY uv.lock.txt ")]
    assert uv < synced


def test_each_target_has_the_arguments_that_its_commands_read() -> None:
    """An ARG before the first FROM, or of another target, is empty in a RUN."""
    for target in TARGETS:
        declared: set[str] = set()
        for one in of(target):
            if one.keyword == "ARG":
                declared.add(one.text.partition("=")[0])
            if one.keyword == "RUN":
                read = {name for name in SOURCES if re.search(rf"\${{?{name}\b", one.text)}
                assert read <= declared, one.text


def test_both_builders_take_the_file() -> None:
    """The classic builder knows no mounts, no heredocs and no syntax line."""
    text = DOCKERFILE.read_text()
    assert not re.search(r"^#\s*syntax|--mount|<<|COPY --(link|chmod)", text, re.MULTILINE)


def test_no_secret_is_asked_for() -> None:
    names = [one.text.partition("=")[0] for one in INSTRUCTIONS if one.keyword in ("ARG", "ENV")]
    assert not [name for name in names if re.search("TOKEN|SECRET|PASSWORD|KEY", name)]


@pytest.mark.parametrize("run", RUNS, ids=lambda one: f"{one.target}: {one.text[:40]}")
def test_every_command_is_valid_sh(run: Instruction) -> None:
    done = subprocess.run(["sh", "-n", "-c", run.text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "run",
    [one for one in RUNS if NETWORK.search(one.text)],
    ids=lambda one: f"{one.target}: {one.text[:40]}",
)
def test_every_command_that_reaches_a_network_names_the_argument_for_a_mirror(
    run: Instruction,
) -> None:
    advice = " ".join(re.findall(r'echo (".*?) >&2', run.text))
    assert re.search(rf"--build-arg ({'|'.join(SOURCES)}|\$)", advice)


CASES = [
    ("rehearsal", "apt-get", "apt-get install*", ("/etc/apt", "BASE_IMAGE")),
    ("rehearsal", "apt-get", "apt-get update*", ("/etc/apt", "TRAINSTACK_BASE_IMAGE")),
    ("rehearsal", "pip", "pip install*", ("from PyPI", "trainstack:buildArgs {PIP_INDEX_URL:")),
    ("nanochat", "apt-get", "apt-get install*", ("/etc/apt", "trainstack:cudaBase", "CUDA_BASE")),
    ("nanochat", "uv.lock.txt", "pip install*", ("uv from PyPI", "buildArgs {PIP_INDEX_URL:")),
    ("nanochat", "curl -", "curl*", ("github.com/karpathy", "buildArgs {NANOCHAT_SOURCE:")),
    ("nanochat", "curl -", "tar*", ("fetch nanochat d58fcd9", "buildArgs {NANOCHAT_SOURCE:")),
    ("nanochat", "kernel.py", "python */kernel.py*", ("huggingface.co", "buildArgs {FA3_SOURCE:")),
    ("nanochat", "kernel.py", "python */kernel.py*", ("trainstack:flashAttention to none",)),
    ("nanochat", "requirements.lock", "pip install*", ("PyPI", "buildArgs {PIP_INDEX_URL:")),
]


@pytest.mark.parametrize(("target", "part", "failing", "told"), CASES)
def test_a_source_that_cannot_be_reached_is_named_with_the_way_round(
    build: Build, target: str, part: str, failing: str, told: tuple[str, ...]
) -> None:
    code, said = build.run(the_run(target, part), failing=failing, says="no route to host")
    assert code != 0
    assert said.startswith("no route to host")  # the program's own words stay
    for text in told:
        assert text in said
    assert len(said.strip().splitlines()) == 2  # one message


@pytest.mark.parametrize(
    ("says", "source", "argument"),
    [
        ("Failed to fetch https://download.pytorch.org/whl/cu128/torch.whl", "torch", "TORCH"),
        ("Hash mismatch for `torch==2.9.1+cu128`", "torch", "TORCH"),
        ("Failed to fetch https://files.example/six.whl", "PyPI", "PIP_INDEX"),
    ],
)
def test_of_nanochats_two_indexes_the_one_that_failed_is_named(
    build: Build, says: str, source: str, argument: str
) -> None:
    code, said = build.run(the_run("nanochat", "uv sync"), failing="uv sync*", says=says)
    assert code != 0
    assert says in said
    advice = said.splitlines()[-1]
    assert source in advice.partition(";")[0]
    assert f"buildArgs {{{argument}" in advice
    assert f"--build-arg {argument}" in advice


@pytest.mark.parametrize("run", RUNS, ids=lambda one: f"{one.target}: {one.text[:40]}")
def test_a_command_whose_sources_answer_says_nothing(build: Build, run: Instruction) -> None:
    assert build.run(run.text) == (0, "")


PYTHONS = {"rehearsal": "3.11 to 3.13", "nanochat": "3.12"}


@pytest.mark.parametrize(
    ("target", "python", "fits"),
    [
        ("rehearsal", "3.10.12", 0),
        ("rehearsal", "3.11.2", 1),
        ("rehearsal", "3.13.5", 1),
        ("rehearsal", "3.14.0", 0),
        ("nanochat", "3.10.12", 0),
        ("nanochat", "3.11.2", 0),
        ("nanochat", "3.12.3", 1),
        ("nanochat", "3.13.5", 0),
    ],
)
def test_a_base_image_of_another_python_is_refused_with_the_reason(
    build: Build, target: str, python: str, fits: int
) -> None:
    """Ubuntu 22.04 has 3.10: the build failed much later, and did not say why. With 3.11 nanochat's
    image was built, without setuptools, and torch.compile failed on the machine.
    https://github.com/pytorch/pytorch/issues/117023"""
    code, said = build.run(the_run(target, "apt-get"), python=python)
    assert (code == 0) == bool(fits)
    assert (f"has Python {python}, Python {PYTHONS[target]} is needed" in said) == (not fits)


def test_nanochats_image_stands_on_a_plain_base_and_asks_nvidias_runtime_for_the_driver() -> None:
    """NVIDIA's own base images set what its runtime looks at; a plain one has to."""
    (base,) = [one.text for one in INSTRUCTIONS if one.text.endswith(" AS nanochat")]
    assert base == "${CUDA_BASE:-ubuntu:24.04} AS nanochat"
    assert defaults()["CUDA_BASE"] == "ubuntu:24.04"
    (env,) = [one.text for one in of("nanochat") if one.keyword == "ENV"]
    assert "NVIDIA_VISIBLE_DEVICES=all" in env.split()
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in env.split()


@pytest.mark.parametrize(("asked", "installed"), [({}, "gpu"), ({"NANOCHAT_EXTRA": "cpu"}, "cpu")])
@pytest.mark.parametrize("toolkit", [False, True])
def test_the_recipe_decides_which_pytorch_is_installed_and_not_what_the_base_has(
    build: Build, asked: dict[str, str], installed: str, toolkit: bool
) -> None:
    if toolkit:
        (build.folder / "usr/local/cuda").mkdir(parents=True)
    assert build.run(the_run("nanochat", "uv sync"), **asked) == (0, "")
    (call,) = [one for one in build.called() if one.startswith("uv ")]
    assert call.startswith(f"uv sync --quiet --frozen --extra {installed}")


@pytest.mark.parametrize(
    ("given", "baked", "warned"),
    [
        ({}, True, False),
        ({"FA3_REVISION": "none"}, False, True),
        ({"NANOCHAT_EXTRA": "cpu"}, False, False),
    ],
)
def test_flash_attention_lies_in_the_image_unless_it_is_said_that_it_should_not(
    build: Build, given: dict[str, str], baked: bool, warned: bool
) -> None:
    code, said = build.run(the_run("nanochat", "kernel.py"), **given)
    assert code == 0
    assert bool(build.called()) == baked
    assert ("WARNING: the image has no Flash Attention 3" in said) == warned


@pytest.mark.parametrize("mirror", ["", MIRROR])
def test_nanochats_packages_are_compiled_by_the_build_and_not_by_each_process_on_paid_time(
    build: Build, mirror: str
) -> None:
    """Without bytecode PyTorch's import took 10.5 s of a processor instead of 4.5 s, each time.

    https://github.com/astral-sh/uv/issues/16378: uv compiles nothing unless it is told.
    """
    uv = build.folder / "opt/uv/bin/uv"
    uv.write_text(f'#!/bin/sh\necho "uv $1 $UV_COMPILE_BYTECODE" >> "{build.folder}/compiled"\n')
    build.run(the_run("nanochat", "uv sync"), PIP_INDEX_URL=mirror)
    calls = (build.folder / "compiled").read_text().splitlines()
    assert {call for call in calls if call.startswith(("uv sync", "uv pip"))} == {
        "uv pip 1" if mirror else "uv sync 1"
    }


@pytest.mark.parametrize("argument", ["FA3_REVISION", "NANOCHAT_COMMIT"])
def test_what_an_image_is_made_of_stands_at_a_revision_that_cannot_move(argument: str) -> None:
    """https://github.com/karpathy/nanochat/issues/737: whatever the repository held that day."""
    assert re.fullmatch("[0-9a-f]{40}", defaults()[argument])


def test_an_extra_that_nanochat_does_not_have_is_refused(build: Build) -> None:
    code, said = build.run(the_run("nanochat", "uv sync"), NANOCHAT_EXTRA="cuda")
    assert (code, said) == (1, "this build's NANOCHAT_EXTRA is neither gpu nor cpu\n")


@pytest.mark.parametrize("target", TARGETS)
def test_pip_sees_a_mirror_and_never_an_empty_one(build: Build, target: str) -> None:
    for run in [one.text for one in RUNS if one.target == target and "bin/pip install" in one.text]:
        build.calls.unlink(missing_ok=True)
        build.run(run)
        build.run(run, PIP_INDEX_URL=MIRROR)
        plain, mirrored = [call for call in build.called() if call.startswith("pip ")]
        assert plain.endswith(" unset")
        assert mirrored.endswith(f" {MIRROR}")


def test_nanochats_packages_come_from_the_mirrors_with_the_locks_hashes(build: Build) -> None:
    """A frozen sync takes the addresses in the lock, whatever index is set."""
    run = the_run("nanochat", "uv sync")
    assert build.run(run, PIP_INDEX_URL=MIRROR, TORCH_INDEX=TORCH) == (0, "")
    calls = [call for call in build.called() if call.startswith("uv ")]
    exports = [call for call in calls if call.startswith("uv export --quiet --frozen --extra gpu")]
    installs = [call for call in calls if call.startswith("uv pip install")]
    assert [re.findall(r"--(?:no|only)-emit-package torch", one) for one in exports] == [
        ["--no-emit-package torch"],
        ["--only-emit-package torch"],
    ]
    assert not [call for call in calls if "--no-hashes" in call]
    assert all("--require-hashes" in call for call in installs)
    indexes = [re.findall(r"--default-index (\S+)", call) for call in installs]
    assert indexes == [[MIRROR], [f"{TORCH}/cu128"]]
    assert "download" not in (build.folder / "opt/nanochat/uv.lock").read_text()
